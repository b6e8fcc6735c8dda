#!/usr/bin/env bash
# Builds flash-attn against the torch that is installed, where that can be done: it takes nvcc (13.0, as torch was built with; `module
# load cuda/13.0` or a CUDA development image), a C++ compiler and no GPU. With 4 jobs it takes up to an hour and 40 GB of memory, so
# run it on a compute node, not on a login node:
#   srun --cpus-per-task=16 --mem=64G --time=2:00:00 bash envs/flash-attn.sh
# FLASH_ATTN_CUDA_ARCHS says for which GPUs: 80 for A100, 90 for H100, 120 for Blackwell workstations.
set -euo pipefail
if ! command -v nvcc > /dev/null; then
  echo "flash-attn is not built: no nvcc here. Recipes with attention: flash_attention_2 need it, those with sdpa do not." >&2
  exit "${FLASH_ATTN_REQUIRED:-0}"
fi
export MAX_JOBS="${MAX_JOBS:-4}" FLASH_ATTN_CUDA_ARCHS="${FLASH_ATTN_CUDA_ARCHS:-80;90}"
export FLASH_ATTENTION_FORCE_BUILD=TRUE # a wheel that is offered may be of another torch
pip install --no-build-isolation --no-deps --no-binary flash-attn flash-attn==2.8.3.post2
python -c 'import flash_attn, torch; print("flash-attn", flash_attn.__version__, "for torch", torch.__version__, "CUDA", torch.version.cuda)'
