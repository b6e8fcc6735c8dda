# Room 5: tables and figures, each with a sidecar that says where it comes from. One figure, one script, one rule.
from mmevol.config import publish as publishing

tables_dir = f"{R}/tables"
figures_dir = f"{R}/figures"
main_evolution = publishing.main_evolution(study)
agreed = publishing.agreement_settings(study)
main_dataset = study.dataset(main_evolution) if main_evolution else []
scripts = str(Path(workflow.current_basedir).parent.parent / "paper_figures")


rule publish_results:
    input:
        rules.evaluate.input,
    output:
        report(
            f"{tables_dir}/main.html",
            caption="../report/main.rst",
            category="Results",
            labels={"table": "arms × benchmarks"},
        ),
        multiext(f"{tables_dir}/main", ".csv", ".md", ".tex"),
        report(
            f"{tables_dir}/benchmarks.html",
            caption="../report/benchmarks.rst",
            category="Results",
            labels={"table": "each arm on each benchmark"},
        ),
        multiext(f"{tables_dir}/benchmarks", ".csv", ".md", ".tex"),
    log:
        f"{logs}/publish_results.log",
    benchmark:
        f"{timings}/publish_results.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        settings=publishing.results_settings(study).dump(),
        evaluate=lambda w: f"{R}/evaluate",
        tables=subpath(output[0], parent=True),
    message:
        "Writing the results tables"
    shell:
        "mmevol publish results --settings {params.settings:q} --evaluate {params.evaluate} --main {params.tables}/main"
        " --benchmarks {params.tables}/benchmarks > {log} 2>&1"


rule publish_rounds:
    input:
        shards=expand(shard_files, shard=SHARDS),
        rounds=[study.lineage_files(name) for name in study.evolve.evolutions],
    output:
        report(
            f"{tables_dir}/rounds.html",
            caption="../report/rounds.rst",
            category="Evolution",
            labels={"table": "rounds: yield, reasons, difficulty"},
        ),
        multiext(f"{tables_dir}/rounds", ".csv", ".md", ".tex"),
    log:
        f"{logs}/publish_rounds.log",
    benchmark:
        f"{timings}/publish_rounds.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=lambda w, attempt: 1000 * attempt,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        settings=publishing.rounds_settings(study).dump(),
        shards=lambda w, input: [f"--shard-file {path}" for path in input.shards],
        evolve=lambda w: f"{R}/evolve",
        out=subpath(output[0], strip_suffix=".html"),
    message:
        "Writing the table of rounds"
    shell:
        "mmevol publish rounds --settings {params.settings:q} {params.shards} --evolve {params.evolve} --out {params.out}"
        " > {log} 2>&1"


# Facts of the runs, and so no part of the tables that the same study gives again.
rule publish_cost:
    input:
        study.usage_files(),
    output:
        report(
            f"{R}/usage/cost.html",
            caption="../report/cost.rst",
            category="Evolution",
            labels={"table": "what the endpoints cost"},
        ),
        multiext(f"{R}/usage/cost", ".csv", ".md", ".tex"),
    log:
        f"{logs}/publish_cost.log",
    benchmark:
        f"{timings}/publish_cost.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        settings=publishing.cost_settings(study).dump(),
        root=lambda w: R,
        out=subpath(output[0], strip_suffix=".html"),
    message:
        "Adding up what the endpoints cost"
    shell:
        "mmevol publish cost --settings {params.settings:q} --study-root {params.root} --out {params.out} > {log} 2>&1"


rule publish_elimination:
    input:
        [f"{R}/evolve/{name}/faults.parquet" for name in study.planted_evolutions()],
    output:
        report(
            f"{tables_dir}/elimination.html",
            caption="../report/elimination.rst",
            category="Evolution",
            labels={"table": "the gates against planted faults"},
        ),
        multiext(f"{tables_dir}/elimination", ".csv", ".md", ".tex"),
    log:
        f"{logs}/publish_elimination.log",
    benchmark:
        f"{timings}/publish_elimination.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=lambda w, attempt: 1000 * attempt,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        settings=publishing.elimination_settings(study).dump(),
        evolve=lambda w: f"{R}/evolve",
        out=subpath(output[0], strip_suffix=".html"),
    message:
        "Writing the table of the gates against planted faults"
    shell:
        "mmevol publish elimination --settings {params.settings:q} --evolve {params.evolve} --out {params.out} > {log} 2>&1"


rule publish_agreement:
    input:
        [study.round_files(name, "candidates") for name in agreed.evolutions],
    output:
        report(
            f"{tables_dir}/agreement.html",
            caption="../report/agreement.rst",
            category="Evolution",
            labels={"table": "how far the two judges agree"},
        ),
        multiext(f"{tables_dir}/agreement", ".csv", ".md", ".tex"),
    log:
        f"{logs}/publish_agreement.log",
    benchmark:
        f"{timings}/publish_agreement.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1000,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        settings=agreed.dump(),
        evolve=lambda w: f"{R}/evolve",
        out=subpath(output[0], strip_suffix=".html"),
    message:
        "Writing the table of the two judges' agreement"
    shell:
        "mmevol publish agreement --settings {params.settings:q} --evolve {params.evolve} --out {params.out} > {log} 2>&1"


rule publish_composition:
    input:
        shards=expand(shard_files, shard=SHARDS),
        audit=f"{R}/seeds/audit.json",
    output:
        report(
            f"{tables_dir}/composition.html",
            caption="../report/composition.rst",
            category="Seeds",
            labels={"table": "what the seeds are made of"},
        ),
        multiext(f"{tables_dir}/composition", ".csv", ".md", ".tex"),
    log:
        f"{logs}/publish_composition.log",
    benchmark:
        f"{timings}/publish_composition.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        settings=publishing.CompositionSettings(groups=study.publish.groups).dump(),
        shards=lambda w, input: [f"--shard-file {path}" for path in input.shards],
        out=subpath(output[0], strip_suffix=".html"),
    message:
        "Writing the table of the seeds' composition"
    shell:
        "mmevol publish composition --settings {params.settings:q} {params.shards} --audit {input.audit} --out {params.out}"
        " > {log} 2>&1"


rule publish_mixtures:
    input:
        [f"{t}/mixtures/{name}/stats.json" for name in study.trained_mixtures()],
    output:
        report(
            f"{tables_dir}/mixtures.html",
            caption="../report/mixtures.rst",
            category="Training",
            labels={"table": "what the arms are trained on"},
        ),
        multiext(f"{tables_dir}/mixtures", ".csv", ".md", ".tex"),
    log:
        f"{logs}/publish_mixtures.log",
    benchmark:
        f"{timings}/publish_mixtures.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        settings=publishing.mixtures_settings(study).dump(),
        stats=lambda w, input: [f"--stats {path}" for path in input],
        out=subpath(output[0], strip_suffix=".html"),
    message:
        "Writing the table of what the arms are trained on"
    shell:
        "mmevol publish mixtures --settings {params.settings:q} {params.stats} --out {params.out} > {log} 2>&1"


rule publish_contamination:
    input:
        overlaps=rules.evaluate_contamination.output[0],
        cleaned=rules.evaluate_clean.output.scores,
        scores=rules.evaluate_clean.input.scores,
    output:
        report(
            f"{tables_dir}/contamination.html",
            caption="../report/contamination.rst",
            category="Results",
            labels={"table": "what the training data share with the benchmarks"},
        ),
        multiext(f"{tables_dir}/contamination", ".csv", ".md", ".tex"),
    log:
        f"{logs}/publish_contamination.log",
    benchmark:
        f"{timings}/publish_contamination.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        settings=(
            publishing.contamination_settings(study).dump()
            if study.looked_into
            else ""
        ),
        evaluate=lambda w: f"{R}/evaluate",
        out=subpath(output[0], strip_suffix=".html"),
    message:
        "Writing the table of what the mixtures share with the benchmarks"
    shell:
        "mmevol publish contamination --settings {params.settings:q} --overlaps {input.overlaps} --clean {input.cleaned}"
        " --evaluate {params.evaluate} --out {params.out} > {log} 2>&1"


rule publish_paper:
    input:
        f"{tables_dir}/benchmarks.csv",
    output:
        report(
            f"{tables_dir}/paper.html",
            caption="../report/paper.rst",
            category="Results",
            labels={"table": "beside the paper's numbers"},
        ),
        multiext(f"{tables_dir}/paper", ".csv", ".md", ".tex"),
    log:
        f"{logs}/publish_paper.log",
    benchmark:
        f"{timings}/publish_paper.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        settings=publishing.PaperSettings(arms=study.publish.paper).dump(),
        out=subpath(output[0], strip_suffix=".html"),
    message:
        "Writing the table of our numbers beside the paper's"
    shell:
        "mmevol publish paper --settings {params.settings:q} --benchmarks {input} --out {params.out} > {log} 2>&1"


# Which tables this study has: arms make results, evolutions make rounds, an embedded teacher makes the elimination table.
results_tables = (
    [f"{tables_dir}/{name}.csv" for name in ("main", "benchmarks")]
    if study.measured()
    else []
)
rounds_tables = [f"{tables_dir}/rounds.csv"] if study.evolve.evolutions else []
gates_tables = [f"{tables_dir}/elimination.csv"] if study.planted_evolutions() else []
agreement_tables = [f"{tables_dir}/agreement.csv"] if agreed.evolutions else []


rule publish_findings:
    input:
        results_tables,
        rounds_tables,
        gates_tables,
    output:
        report(
            f"{tables_dir}/findings.txt",
            caption="../report/findings.rst",
            category="Results",
            labels={"table": "the main finding"},
        ),
    log:
        f"{logs}/publish_findings.log",
    benchmark:
        f"{timings}/publish_findings.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        settings=publishing.findings_settings(study).dump(),
        tables=subpath(output[0], parent=True),
    message:
        "Writing the main finding"
    shell:
        "mmevol publish findings --settings {params.settings:q} --tables {params.tables} --out {output} > {log} 2>&1"


# What each figure shows: its category and label in the report, and the files that its script takes, by option.
seed_files = expand(shard_files, shard=SHARDS)
losses = [f"{t}/finetune/{arm}/seed_{k}/loss.csv" for arm, k in study.runs()]
drawings = {
    "fig2_composition": (
        "Seeds",
        "2: composition of the seeds",
        {"composition": f"{tables_dir}/composition.csv"},
    ),
}
if main_evolution:
    evolved = {"dataset": main_dataset}
    judged = {"judged": study.judged_seeds(main_evolution)}
    drawings |= {
        "fig1_lineage": (
            "Evolution",
            "1: one record through the rounds",
            evolved | {"seeds": seed_files},
        ),
        "fig9a_skills": ("Evolution", "9a: skills", evolved),
        "fig9b_steps": ("Evolution", "9b: steps", evolved),
        "fig9c_difficulty": ("Evolution", "9c: difficulty", evolved | judged),
        "fig10_longtail": ("Evolution", "10: long tail of objects", evolved),
    }
if losses:
    drawings["fig_loss"] = ("Training", "loss curves", {"losses": losses})
    drawings["fig_results"] = (
        "Results",
        "scores and differences",
        {"benchmarks": f"{tables_dir}/benchmarks.csv"},
    )

for figure, (category, label, files) in drawings.items():

    rule:
        name:
            f"publish_{figure}"
        input:
            **files,
            script=f"{scripts}/{figure}.py",
            style=f"{scripts}/mmevol.mplstyle",
        output:
            report(
                f"{figures_dir}/{figure}.svg",
                caption=f"../report/{figure}.rst",
                category=category,
                labels={"figure": label},
            ),
            multiext(f"{figures_dir}/{figure}", ".pdf", ".png"),
        log:
            f"{logs}/publish_{figure}.log",
        benchmark:
            f"{timings}/publish_{figure}.tsv"
        conda:
            "../../envs/base.yaml"
        resources:
            mem_mb=1000,
            runtime=30,
        params:
            settings=getattr(study.publish.figures, figure).dump(),
            out=subpath(output[0], strip_suffix=".svg"),
            files=lambda w, input, options=tuple(files): [
                f"--{option} {input[option]}" for option in options
            ],
            images=(
                f"--images {study.images_root}"
                if figure == "fig1_lineage" and study.images_root
                else ""
            ),
        message:
            f"Drawing figure {label}"
        shell:
            "python {input.script} --settings {params.settings:q} {params.files} {params.images} --out {params.out}"
            " > {log} 2>&1"


rule tables:
    input:
        results_tables,
        rounds_tables,
        gates_tables,
        agreement_tables,
        f"{tables_dir}/composition.csv",
        [f"{R}/usage/cost.csv"] if study.usage_files() else [],
        [f"{tables_dir}/mixtures.csv"] if study.runs() else [],
        f"{tables_dir}/findings.txt",
        [f"{tables_dir}/paper.csv"] if study.publish.paper else [],
        [f"{tables_dir}/contamination.csv"] if study.looked_into else [],


rule paper_figures:
    input:
        expand(
            f"{figures_dir}/{{name}}.{{kind}}",
            name=list(drawings),
            kind=["pdf", "svg", "png"],
        ),
