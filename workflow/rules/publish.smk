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
        multiext(f"{tables_dir}/benchmarks", ".csv", ".md", ".tex"),
    log:
        f"{logs}/publish_results.log",
    benchmark:
        f"{timings}/publish_results.tsv"
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        settings=publishing.results_settings(study).dump(),
        evaluate=f"{R}/evaluate",
        tables=tables_dir,
    message:
        "Writing the results tables"
    shell:
        "mmevol publish results --settings {params.settings:q} --evaluate {params.evaluate} --main {params.tables}/main"
        " --benchmarks {params.tables}/benchmarks > {log} 2>&1"
