# The resolved study, and what all rules share.
import gc
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from mmevol.config.resolve import for_jobs, from_snakemake
from mmevol.config.resources import cores, of_machines, of_servers
from mmevol.records import BadInput

try:
    study = from_snakemake(config, workflow.configfiles)
except BadInput as error:
    raise WorkflowError(str(error))

for_jobs(study)
# A plan is thousands of objects that stay: looking among them for garbage every 700 new ones is a sixth of planning.
gc.set_threshold(100_000, 20, 20)
# The settings of all shards are the same text.
dumped = cache(lambda settings, *of: settings(*of).dump())

R = study.results
logs = f"{R}/logs"
timings = f"{R}/timings"
SHARDS = list(study.shards)
# A pattern for the wildcard of arms and models.
named = lambda arms: "|".join(sorted(set(arms))).replace(".", "[.]") or "none"
SERVED = study.served(*study.endpoints)
# Where torch is needed, with --sdm apptainer: built from envs/train-gpu.def.
gpu_image = str(Path(workflow.current_basedir).parent.parent / "envs/train-gpu.sif")
FULL = [name for name, e in study.evolve.evolutions.items() if e.from_ == "seeds"]
SCRATCH = [name for name, e in study.evolve.evolutions.items() if e.from_ == "scratch"]


wildcard_constraints:
    shard=r"\d+",
    round=r"\d+",
    seed=r"\d+",
    part=r"\d+",
    evolution="|".join(study.evolve.evolutions) or "none",
    backbone="|".join(study.train.backbones) or "none",
    mixture="|".join(study.train.mixtures) or "none",
    arm="|".join(study.train.arms) or "none",
    benchmark="|".join(study.evaluate.benchmarks) or "none",
