#!/usr/bin/env bash
# Snakemake runs this once the environment is there: the package itself comes from the checkout, flash-attn from its source.
set -euo pipefail
root="$(git rev-parse --show-toplevel)"
pip install --no-deps -e "$root"
bash "$root/envs/flash-attn.sh"
