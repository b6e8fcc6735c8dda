# Room 5: tables and figures, each with a sidecar that says where it comes from. One figure, one script, one rule.
from mmevol.config import publish as publishing

tables_dir = f"{R}/tables"
figures_dir = f"{R}/figures"
main_evolution = publishing.main_evolution(study)
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


rule publish_fig9a_skills:
    input:
        script=f"{scripts}/fig9a_skills.py",
        style=f"{scripts}/mmevol.mplstyle",
        data=main_dataset,
    output:
        report(
            f"{figures_dir}/fig9a_skills.svg",
            caption="../report/fig9a_skills.rst",
            category="Evolution",
            labels={"figure": "9a: skills"},
        ),
        multiext(f"{figures_dir}/fig9a_skills", ".pdf", ".png"),
    log:
        f"{logs}/publish_fig9a_skills.log",
    benchmark:
        f"{timings}/publish_fig9a_skills.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        settings=study.publish.figures.fig9a_skills.dump(),
        out=subpath(output[0], strip_suffix=".svg"),
        data=lambda w, input: f"--dataset {input.data}",
    message:
        "Drawing figure 9a: skills"
    shell:
        "python {input.script} --settings {params.settings:q} {params.data} --out {params.out} > {log} 2>&1"


use rule publish_fig9a_skills as publish_fig1_lineage with:
    input:
        script=f"{scripts}/fig1_lineage.py",
        style=f"{scripts}/mmevol.mplstyle",
        data=main_dataset,
        shards=expand(shard_files, shard=SHARDS),
    output:
        report(
            f"{figures_dir}/fig1_lineage.svg",
            caption="../report/fig1_lineage.rst",
            category="Evolution",
            labels={"figure": "1: one record through the rounds"},
        ),
        multiext(f"{figures_dir}/fig1_lineage", ".pdf", ".png"),
    log:
        f"{logs}/publish_fig1_lineage.log",
    benchmark:
        f"{timings}/publish_fig1_lineage.tsv"
    params:
        settings=study.publish.figures.fig1_lineage.dump(),
        out=subpath(output[0], strip_suffix=".svg"),
        data=lambda w, input: f"--dataset {input.data} --seeds {input.shards}"
        + (f" --images {study.images_root}" if study.images_root else ""),
    message:
        "Drawing figure 1: one record through the rounds"


use rule publish_fig9a_skills as publish_fig2_composition with:
    input:
        script=f"{scripts}/fig2_composition.py",
        style=f"{scripts}/mmevol.mplstyle",
        data=f"{tables_dir}/composition.csv",
    output:
        report(
            f"{figures_dir}/fig2_composition.svg",
            caption="../report/fig2_composition.rst",
            category="Seeds",
            labels={"figure": "2: composition of the seeds"},
        ),
        multiext(f"{figures_dir}/fig2_composition", ".pdf", ".png"),
    log:
        f"{logs}/publish_fig2_composition.log",
    benchmark:
        f"{timings}/publish_fig2_composition.tsv"
    params:
        settings=study.publish.figures.fig2_composition.dump(),
        out=subpath(output[0], strip_suffix=".svg"),
        data=lambda w, input: f"--composition {input.data}",
    message:
        "Drawing figure 2: composition of the seeds"


use rule publish_fig9a_skills as publish_fig9b_steps with:
    input:
        script=f"{scripts}/fig9b_steps.py",
        style=f"{scripts}/mmevol.mplstyle",
        data=main_dataset,
    output:
        report(
            f"{figures_dir}/fig9b_steps.svg",
            caption="../report/fig9b_steps.rst",
            category="Evolution",
            labels={"figure": "9b: steps"},
        ),
        multiext(f"{figures_dir}/fig9b_steps", ".pdf", ".png"),
    log:
        f"{logs}/publish_fig9b_steps.log",
    benchmark:
        f"{timings}/publish_fig9b_steps.tsv"
    params:
        settings=study.publish.figures.fig9b_steps.dump(),
        out=subpath(output[0], strip_suffix=".svg"),
        data=lambda w, input: f"--dataset {input.data}",
    message:
        "Drawing figure 9b: steps"


use rule publish_fig9a_skills as publish_fig9c_difficulty with:
    input:
        script=f"{scripts}/fig9c_difficulty.py",
        style=f"{scripts}/mmevol.mplstyle",
        data=main_dataset,
        judged=study.judged_seeds(main_evolution) if main_evolution else [],
    output:
        report(
            f"{figures_dir}/fig9c_difficulty.svg",
            caption="../report/fig9c_difficulty.rst",
            category="Evolution",
            labels={"figure": "9c: difficulty"},
        ),
        multiext(f"{figures_dir}/fig9c_difficulty", ".pdf", ".png"),
    log:
        f"{logs}/publish_fig9c_difficulty.log",
    benchmark:
        f"{timings}/publish_fig9c_difficulty.tsv"
    params:
        settings=study.publish.figures.fig9c_difficulty.dump(),
        out=subpath(output[0], strip_suffix=".svg"),
        data=lambda w, input: f"--dataset {input.data} --judged {input.judged}",
    message:
        "Drawing figure 9c: difficulty"


use rule publish_fig9a_skills as publish_fig10_longtail with:
    input:
        script=f"{scripts}/fig10_longtail.py",
        style=f"{scripts}/mmevol.mplstyle",
        data=main_dataset,
    output:
        report(
            f"{figures_dir}/fig10_longtail.svg",
            caption="../report/fig10_longtail.rst",
            category="Evolution",
            labels={"figure": "10: long tail of objects"},
        ),
        multiext(f"{figures_dir}/fig10_longtail", ".pdf", ".png"),
    log:
        f"{logs}/publish_fig10_longtail.log",
    benchmark:
        f"{timings}/publish_fig10_longtail.tsv"
    params:
        settings=study.publish.figures.fig10_longtail.dump(),
        out=subpath(output[0], strip_suffix=".svg"),
        data=lambda w, input: f"--dataset {input.data}",
    message:
        "Drawing figure 10: long tail of objects"


use rule publish_fig9a_skills as publish_fig_loss with:
    input:
        script=f"{scripts}/fig_loss.py",
        style=f"{scripts}/mmevol.mplstyle",
        data=[f"{t}/finetune/{arm}/seed_{k}/loss.csv" for arm, k in study.runs()],
    output:
        report(
            f"{figures_dir}/fig_loss.svg",
            caption="../report/fig_loss.rst",
            category="Training",
            labels={"figure": "loss curves"},
        ),
        multiext(f"{figures_dir}/fig_loss", ".pdf", ".png"),
    log:
        f"{logs}/publish_fig_loss.log",
    benchmark:
        f"{timings}/publish_fig_loss.tsv"
    params:
        settings=study.publish.figures.fig_loss.dump(),
        out=subpath(output[0], strip_suffix=".svg"),
        data=lambda w, input: f"--losses {input.data}",
    message:
        "Drawing figure loss curves"


use rule publish_fig9a_skills as publish_fig_results with:
    input:
        script=f"{scripts}/fig_results.py",
        style=f"{scripts}/mmevol.mplstyle",
        data=f"{tables_dir}/benchmarks.csv",
    output:
        report(
            f"{figures_dir}/fig_results.svg",
            caption="../report/fig_results.rst",
            category="Results",
            labels={"figure": "scores and differences"},
        ),
        multiext(f"{figures_dir}/fig_results", ".pdf", ".png"),
    log:
        f"{logs}/publish_fig_results.log",
    benchmark:
        f"{timings}/publish_fig_results.tsv"
    params:
        settings=study.publish.figures.fig_results.dump(),
        out=subpath(output[0], strip_suffix=".svg"),
        data=lambda w, input: f"--benchmarks {input.data}",
    message:
        "Drawing figure scores and differences"


# Which figures this study has.
drawn = (
    ["fig2_composition"]
    + [
        "fig1_lineage",
        "fig9a_skills",
        "fig9b_steps",
        "fig9c_difficulty",
        "fig10_longtail",
    ]
    * bool(main_evolution)
    + ["fig_loss"] * bool(study.runs())
    + ["fig_results"] * bool(study.measured())
)


rule tables:
    input:
        results_tables,
        rounds_tables,
        gates_tables,
        f"{tables_dir}/composition.csv",
        f"{tables_dir}/findings.txt",
        [f"{tables_dir}/paper.csv"] if study.publish.paper else [],


rule paper_figures:
    input:
        expand(
            f"{figures_dir}/{{name}}.{{kind}}", name=drawn, kind=["pdf", "svg", "png"]
        ),
