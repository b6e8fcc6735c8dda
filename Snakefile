# Finds the workflow when `snakemake` is started in the root of the repository.
include: "workflow/Snakefile"


workflow.default_target = "all"
