# The resolved study, and what all rules share.
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from mmevol.config.study import from_snakemake
from mmevol.records import BadInput

try:
    study = from_snakemake(config, workflow.configfiles)
except BadInput as error:
    raise WorkflowError(str(error))

# `mmevol` beside the Python that runs Snakemake; an environment activated by --sdm still comes before it.
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)

R = study.results
logs = f"{R}/logs"
timings = f"{R}/timings"
SHARDS = list(study.shards)
FULL = [name for name, e in study.evolve.evolutions.items() if e.from_ == "seeds"]
SCRATCH = [name for name, e in study.evolve.evolutions.items() if e.from_ == "scratch"]

# Facts of this run (connections, status folder, who started the jobs): they change no data, so they are no params.
run_facts = study.run().dump()


wildcard_constraints:
    shard=r"\d+",
    round=r"\d+",
    seed=r"\d+",
    evolution="|".join(study.evolve.evolutions) or "none",
    backbone="|".join(study.train.backbones) or "none",
    mixture="|".join(study.train.mixtures) or "none",
    arm="|".join(study.train.arms) or "none",
    benchmark="|".join(study.evaluate.benchmarks) or "none",
