#!/usr/bin/env bash
# Snakemake runs this once the environment is there: the package itself comes from the checkout.
set -euo pipefail
pip install --no-deps -e "$(git rev-parse --show-toplevel)"
