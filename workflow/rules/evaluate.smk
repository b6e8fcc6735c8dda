# Room 4: benchmarks are written from held-out scenes (or their official files fetched), answered by each arm, and scored.

v = f"{R}/evaluate"


rule evaluate_heldout:
    input:
        f"{R}/seeds/heldout.parquet",
    output:
        f"{v}/data/{{benchmark}}/manifest.json",
    log:
        f"{logs}/evaluate_heldout/{{benchmark}}.log",
    benchmark:
        f"{timings}/evaluate_heldout/{{benchmark}}.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        settings=lambda w: study.heldout_settings(w.benchmark).dump(),
        images=study.images_root,
        out=subpath(output[0], parent=True),
    message:
        "{wildcards.benchmark}: writing its files from held-out scenes"
    shell:
        "mmevol evaluate heldout --settings {params.settings:q} --heldout {input} --images-root {params.images}"
        " --out {params.out} > {log} 2>&1"


# Runs where Snakemake does: compute nodes seldom reach the web. What is in the folder already is checked and not fetched.
rule evaluate_fetch:
    output:
        f"{v}/official/{{benchmark}}/manifest.json",
    log:
        f"{logs}/evaluate_fetch/{{benchmark}}.log",
    benchmark:
        f"{timings}/evaluate_fetch/{{benchmark}}.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        root=study.evaluate.root,
        options=lambda w: study.fetch_options(w.benchmark),
        out=subpath(output[0], parent=True),
    message:
        "{wildcards.benchmark}: looking for its official files in {params.root}, and on the web for what is missing"
    shell:
        "mmevol evaluate fetch {wildcards.benchmark} --root {params.root:q} {params.options} --out {params.out} > {log} 2>&1"


# One job an arm: starting Python with torch costs more than answering a benchmark.
rule evaluate_predict:
    input:
        model=lambda w: f"{R}/train/finetune/{w.arm.removesuffix('.blind')}/seed_{w.seed}/manifest.json",
        data=[study.benchmark_file(b) for b in study.benchmarks],
    output:
        expand(
            f"{v}/{{{{arm}}}}/seed_{{{{seed}}}}/{{benchmark}}/predictions.jsonl",
            benchmark=study.benchmarks,
        ),
    log:
        f"{logs}/evaluate_predict/{{arm}}.{{seed}}.log",
    benchmark:
        f"{timings}/evaluate_predict/{{arm}}.{{seed}}.tsv"
    wildcard_constraints:
        arm="|".join(sorted({arm for arm, _ in study.measured()})).replace(".", "[.]")
        or "none",
    conda:
        "../../envs/train-gpu.yaml"
    threads: study.evaluate.threads
    resources:
        mem_mb=lambda w, attempt: 3000 * attempt,
        runtime=lambda w, attempt: 480 * attempt,
    params:
        settings=lambda w: study.predict_settings(w.arm).dump(),
        model=subpath(input.model, parent=True),
        data=Path(study.benchmark_data("_")).parent,
        out=f"{v}/{{arm}}/seed_{{seed}}",
    message:
        "Arm {wildcards.arm}, seed {wildcards.seed}: answering the benchmarks"
    shell:
        "mmevol evaluate predict --settings {params.settings:q} --model {params.model} --data {params.data}"
        " --out {params.out} > {log} 2>&1"


rule evaluate_score:
    input:
        predictions=f"{v}/{{arm}}/seed_{{seed}}/{{benchmark}}/predictions.jsonl",
        data=lambda w: study.benchmark_file(w.benchmark),
    output:
        score=f"{v}/{{arm}}/seed_{{seed}}/{{benchmark}}/score.{{rules}}.json",
        usage=(
            [f"{v}/{{arm}}/seed_{{seed}}/{{benchmark}}/usage/{{rules}}.json"]
            if study.evaluate.judge
            else []
        ),
    log:
        f"{logs}/evaluate_score/{{arm}}.{{seed}}.{{benchmark}}.{{rules}}.log",
    benchmark:
        f"{timings}/evaluate_score/{{arm}}.{{seed}}.{{benchmark}}.{{rules}}.tsv"
    wildcard_constraints:
        arm="|".join(sorted({arm for arm, _ in study.measured()})).replace(".", "[.]")
        or "none",
        rules="mmevol|vlmevalkit-head|authors",
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=lambda w, attempt: 1000 * attempt,
        runtime=lambda w, attempt: 120 * attempt,
    params:
        judge=lambda w: study.judge_settings().dump() if study.evaluate.judge else "",
        data=subpath(input.data, parent=True),
        version=1,
    message:
        "Arm {wildcards.arm}, seed {wildcards.seed}: scoring {wildcards.benchmark} by the rules {wildcards.rules}"
    shell:
        "judge={params.judge:q}; mmevol evaluate score {wildcards.benchmark} --inputs {params.data}"
        ' --predictions {input.predictions} --rules {wildcards.rules} ${{judge:+--judge "$judge" --usage {output.usage}}}'
        " --output {output.score} > {log} 2>&1"


rule evaluate:
    input:
        [
            f"{v}/{arm}/seed_{k}/{benchmark}/score.{study.evaluate.rules}.json"
            for arm, k in study.measured()
            for benchmark in study.benchmarks
        ],


rule benchmark_data:
    input:
        [study.benchmark_file(benchmark) for benchmark in study.benchmarks],
