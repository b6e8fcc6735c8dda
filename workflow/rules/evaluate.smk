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
        settings=lambda w: dumped(study.heldout_settings, w.benchmark),
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


predictions = expand(
    f"{v}/{{{{arm}}}}/seed_{{{{seed}}}}/{{benchmark}}/predictions.jsonl",
    benchmark=study.benchmarks,
)
chunks = study.evaluate.chunks
piece = "" if chunks == 1 else ".{part}"


local = named(study.answering("trained") + study.answering("folder"))


# One job an arm, since starting Python with torch costs more than answering a benchmark; or an arm's rows in several.
rule evaluate_predict:
    input:
        model=lambda w: study.model_files(w.arm, w.seed)[0],
        weights=lambda w: study.model_files(w.arm, w.seed)[1:],
        data=[study.benchmark_file(b) for b in study.benchmarks],
    output:
        predictions if chunks == 1 else f"{v}/{{arm}}/seed_{{seed}}/parts/{{part}}.json",
    log:
        f"{logs}/evaluate_predict/{{arm}}.{{seed}}{piece}.log",
    benchmark:
        f"{timings}/evaluate_predict/{{arm}}.{{seed}}{piece}.tsv"
    wildcard_constraints:
        arm=local,
    conda:
        "../../envs/train-gpu.yaml"
    container:
        gpu_image
    threads: study.evaluate.threads
    resources:
        gpu=study.evaluate.gpus or None,
        mem_mb=lambda w, attempt: round(1000 * study.evaluate.mem_gb * attempt),
        runtime=lambda w, attempt: round(60 * study.evaluate.hours * attempt),
    params:
        settings=lambda w: dumped(study.predict_settings, w.arm),
        model=subpath(input.model, parent=True),
        data=Path(study.benchmark_data("_")).parent,
        out=f"{v}/{{arm}}/seed_{{seed}}",
    message:
        "Arm {wildcards.arm}, seed {wildcards.seed}: answering the benchmarks"
    shell:
        "mmevol evaluate predict --settings {params.settings:q} --model {params.model} --data {params.data}"
        f"{'' if chunks == 1 else f' --part {{wildcards.part}} {chunks}'}"
        " --out {params.out} > {log} 2>&1"


if chunks > 1:

    rule evaluate_gather:
        input:
            parts=expand(
                f"{v}/{{{{arm}}}}/seed_{{{{seed}}}}/parts/{{part}}.json",
                part=range(chunks),
            ),
            data=rules.evaluate_predict.input.data,
        output:
            predictions,
        log:
            f"{logs}/evaluate_gather/{{arm}}.{{seed}}.log",
        benchmark:
            f"{timings}/evaluate_gather/{{arm}}.{{seed}}.tsv"
        wildcard_constraints:
            arm=local,
        conda:
            "../../envs/base.yaml"
        resources:
            mem_mb=lambda w, attempt: 2000 * attempt,
            runtime=30,
        params:
            settings=lambda w: dumped(study.predict_settings, w.arm),
            data=Path(study.benchmark_data("_")).parent,
            parts=lambda w, input: [f"--part {path}" for path in input.parts],
            out=f"{v}/{{arm}}/seed_{{seed}}",
        message:
            "Arm {wildcards.arm}, seed {wildcards.seed}: putting the parts of its answers together"
        shell:
            "mmevol evaluate gather --settings {params.settings:q} --data {params.data} {params.parts}"
            " --out {params.out} > {log} 2>&1"


answering = (
    (lambda w: study.served(study.ask_model_settings(w.arm).endpoint))
    if SERVED
    else None
)


rule evaluate_ask:
    input:
        [study.benchmark_file(b) for b in study.benchmarks],
    output:
        predictions,
        usage=f"{v}/{{arm}}/seed_{{seed}}/usage.json",
    log:
        f"{logs}/evaluate_ask/{{arm}}.{{seed}}.log",
    benchmark:
        f"{timings}/evaluate_ask/{{arm}}.{{seed}}.tsv"
    wildcard_constraints:
        arm=named(study.answering("endpoint")),
    conda:
        "../../envs/base.yaml"
    threads: cores(answering)
    resources:
        **of_servers(answering, mem_mb=2000, runtime=480),
    params:
        settings=lambda w: dumped(study.ask_model_settings, w.arm),
        data=Path(study.benchmark_data("_")).parent,
        out=subpath(output.usage, parent=True),
    message:
        "{wildcards.arm}: asking its endpoint the benchmarks"
    shell:
        "mmevol evaluate ask --settings {params.settings:q} --data {params.data} --out {params.out} > {log} 2>&1"


rule evaluate_import:
    input:
        answers=lambda w: study.answer_files(w.arm),
        data=[study.benchmark_file(b) for b in study.benchmarks],
    output:
        predictions,
    log:
        f"{logs}/evaluate_import/{{arm}}.{{seed}}.log",
    benchmark:
        f"{timings}/evaluate_import/{{arm}}.{{seed}}.tsv"
    wildcard_constraints:
        arm=named(study.answering("predictions")),
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        settings=study.import_settings().dump() if study.benchmarks else "",
        source=lambda w: study.evaluate.models[w.arm].predictions,
        data=Path(study.benchmark_data("_")).parent,
        out=f"{v}/{{arm}}/seed_{{seed}}",
    message:
        "{wildcards.arm}: taking answers that were made elsewhere"
    shell:
        "mmevol evaluate import --settings {params.settings:q} --source {params.source} --data {params.data}"
        " --out {params.out} > {log} 2>&1"


judging = (lambda w: study.served(study.evaluate.judge)) if SERVED else None


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
        arm=named(arm for arm, _ in study.measured()),
        rules="mmevol|vlmevalkit-head|authors",
    conda:
        "../../envs/base.yaml"
    threads: cores(judging)
    resources:
        **of_servers(judging, mem_mb=1000, runtime=120),
    params:
        judge=lambda w: (
            dumped(study.judge_settings, w.benchmark) if study.evaluate.judge else ""
        ),
        data=subpath(input.data, parent=True),
        version=3,
    message:
        "Arm {wildcards.arm}, seed {wildcards.seed}: scoring {wildcards.benchmark} by the rules {wildcards.rules}"
    shell:
        "judge={params.judge:q}; mmevol evaluate score {wildcards.benchmark} --inputs {params.data}"
        ' --predictions {input.predictions} --rules {wildcards.rules} ${{judge:+--judge "$judge" --usage {output.usage}}}'
        " --output {output.score} > {log} 2>&1"


# What the reference's script calls MODE=infer; MODE=all is `evaluate`.
rule predict:
    input:
        expand(
            f"{v}/{{run}}/{{benchmark}}/predictions.jsonl",
            run=[f"{arm}/seed_{k}" for arm, k in study.measured()],
            benchmark=study.benchmarks,
        ),


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


rule evaluate_contamination:
    input:
        shards=expand(shard_files, shard=SHARDS),
        mixtures=[
            f"{t}/mixtures/{name}/ids.parquet" for name in study.trained_mixtures()
        ],
        evolved=sorted(
            {
                f
                for name in study.trained_mixtures()
                for f in study.mixture_datasets(name)
            }
        ),
        data=[study.benchmark_file(b) for b in study.benchmarks],
    output:
        f"{v}/contamination/overlaps.json",
    log:
        f"{logs}/evaluate_contamination.log",
    benchmark:
        f"{timings}/evaluate_contamination.tsv"
    conda:
        "../../envs/base.yaml"
    threads: study.evaluate.threads
    resources:
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=lambda w, attempt: 240 * attempt,
    params:
        settings=study.contamination_settings().dump() if study.looked_into else "",
        shards=lambda w, input: [f"--shard-file {path}" for path in input.shards],
        mixtures=lambda w, input: [f"--mixture {path}" for path in input.mixtures],
        evolved=lambda w, input: [f"--evolved {path}" for path in input.evolved],
        images=f"--images-root {study.images_root}" if study.images_root else "",
        data=Path(study.benchmark_data("_")).parent,
    message:
        "Looking for the benchmarks in the mixtures"
    shell:
        "mmevol evaluate contamination --settings {params.settings:q} {params.shards} {params.mixtures} {params.evolved}"
        " {params.images} --data {params.data} --out {output} > {log} 2>&1"


# After the whole scores, whose judge's answers are then in the reply store.
rule evaluate_clean:
    input:
        overlaps=rules.evaluate_contamination.output[0],
        scores=[
            f"{v}/{arm}/seed_{k}/{benchmark}/score.{study.evaluate.rules}.json"
            for arm, k in study.runs()
            for benchmark in study.benchmarks
        ],
    output:
        scores=f"{v}/contamination/clean.json",
        usage=f"{v}/contamination/usage.json" if study.evaluate.judge else [],
    log:
        f"{logs}/evaluate_clean.log",
    benchmark:
        f"{timings}/evaluate_clean.tsv"
    conda:
        "../../envs/base.yaml"
    threads: cores(judging)
    resources:
        **of_servers(judging, mem_mb=2000, runtime=120),
    params:
        settings=study.clean_settings().dump() if study.looked_into else "",
        evaluate=lambda w: v,
        data=Path(study.benchmark_data("_")).parent,
    message:
        "Scoring without the rows that overlap"
    shell:
        "mmevol evaluate clean --settings {params.settings:q} --overlaps {input.overlaps} --evaluate {params.evaluate}"
        " --data {params.data} --out {output.scores} > {log} 2>&1"
