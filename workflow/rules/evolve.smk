# Room 2: each round asks (an endpoint, no threshold) and eliminates (thresholds, no endpoint). Shards never wait for each other.

e = f"{R}/evolve/{{evolution}}"


rule evolve_judge_seeds:
    input:
        seeds=shard_files,
        turn=lambda w: ancient(study.bucket_turn(w.evolution, 0, w.shard)),
    output:
        candidates=f"{e}/round_0/candidates/{{shard}}.parquet",
        requests=f"{e}/round_0/candidates/{{shard}}.json",
        usage=f"{e}/round_0/usage/{{shard}}.json",
    log:
        f"{logs}/evolve_judge_seeds/{{evolution}}.{{shard}}.log",
    benchmark:
        f"{timings}/evolve_judge_seeds/{{evolution}}.{{shard}}.tsv"
    resources:
        mem_mb=lambda w, attempt: 1000 * attempt,
        runtime=lambda w, attempt: 240 * attempt,
    params:
        settings=lambda w: study.ask_settings(w.evolution, 0).dump(),
    message:
        "{wildcards.evolution}: judging the seeds (shard {wildcards.shard})"
    shell:
        "mmevol evolve ask --settings {params.settings:q} --run {run_facts:q} --shard {wildcards.shard} --seeds {input.seeds}"
        " --out {output.candidates} --usage {output.usage} > {log} 2>&1"


rule evolve_ask:
    input:
        seeds=shard_files,
        frontier=lambda w: study.frontier(w.evolution, int(w.round) - 1, w.shard),
        turn=lambda w: ancient(study.bucket_turn(w.evolution, int(w.round), w.shard)),
    output:
        candidates=f"{e}/round_{{round}}/candidates/{{shard}}.parquet",
        requests=f"{e}/round_{{round}}/candidates/{{shard}}.json",
        usage=f"{e}/round_{{round}}/usage/{{shard}}.json",
    wildcard_constraints:
        evolution="|".join(FULL) or "none",
        round="[1-9][0-9]*",
    log:
        f"{logs}/evolve_ask/{{evolution}}.{{round}}.{{shard}}.log",
    benchmark:
        f"{timings}/evolve_ask/{{evolution}}.{{round}}.{{shard}}.tsv"
    resources:
        mem_mb=lambda w, attempt: 1000 * attempt,
        runtime=lambda w, attempt: 480 * attempt,
    params:
        settings=lambda w: study.ask_settings(w.evolution, int(w.round)).dump(),
        frontier=lambda w, input: f"--frontier {input.frontier}" if input.frontier else "",
    message:
        "{wildcards.evolution}, round {wildcards.round}: asking for candidates and verdicts (shard {wildcards.shard})"
    shell:
        "mmevol evolve ask --settings {params.settings:q} --run {run_facts:q} --shard {wildcards.shard} --seeds {input.seeds}"
        " {params.frontier} --out {output.candidates} --usage {output.usage} > {log} 2>&1"


rule evolve_eliminate:
    input:
        candidates=f"{e}/round_{{round}}/candidates/{{shard}}.parquet",
        requests=f"{e}/round_{{round}}/candidates/{{shard}}.json",
        before=lambda w: study.frontier(w.evolution, int(w.round) - 1, w.shard),
    output:
        frontier=f"{e}/round_{{round}}/frontier/{{shard}}.parquet",
        outcomes=f"{e}/round_{{round}}/ledger/{{shard}}.parquet",
        ledger=f"{e}/round_{{round}}/ledger/{{shard}}.json",
    wildcard_constraints:
        evolution="|".join(FULL) or "none",
        round="[1-9][0-9]*",
    log:
        f"{logs}/evolve_eliminate/{{evolution}}.{{round}}.{{shard}}.log",
    benchmark:
        f"{timings}/evolve_eliminate/{{evolution}}.{{round}}.{{shard}}.tsv"
    resources:
        mem_mb=lambda w, attempt: 1000 * attempt,
        runtime=lambda w, attempt: 30 * attempt,
    params:
        settings=lambda w: study.eliminate_settings(w.evolution, int(w.round)).dump(),
        before=lambda w, input: f"--before {input.before}" if input.before else "",
    message:
        "{wildcards.evolution}, round {wildcards.round}: eliminating (shard {wildcards.shard})"
    shell:
        "mmevol evolve eliminate --settings {params.settings:q} --candidates {input.candidates} {params.before}"
        " --frontier {output.frontier} --outcomes {output.outcomes} --ledger {output.ledger} > {log} 2>&1"


rule evolve_scratch:
    input:
        seeds=shard_files,
        ledgers=lambda w: study.matched_ledgers(w.evolution, w.shard),
        turn=lambda w: ancient(study.bucket_turn(w.evolution, 1, w.shard)),
    output:
        candidates=f"{e}/round_1/candidates/{{shard}}.parquet",
        requests=f"{e}/round_1/candidates/{{shard}}.json",
        outcomes=f"{e}/round_1/ledger/{{shard}}.parquet",
        ledger=f"{e}/round_1/ledger/{{shard}}.json",
        usage=f"{e}/round_1/usage/{{shard}}.json",
    wildcard_constraints:
        evolution="|".join(SCRATCH) or "none",
    log:
        f"{logs}/evolve_scratch/{{evolution}}.{{shard}}.log",
    benchmark:
        f"{timings}/evolve_scratch/{{evolution}}.{{shard}}.tsv"
    resources:
        mem_mb=lambda w, attempt: 1000 * attempt,
        runtime=lambda w, attempt: 480 * attempt,
    params:
        settings=lambda w: study.scratch_settings(w.evolution).dump(),
        ledgers=lambda w, input: [f"--ledger {path}" for path in input.ledgers],
    message:
        "{wildcards.evolution}: asking for fresh Q&A, as many calls as the evolution made (shard {wildcards.shard})"
    shell:
        "mmevol evolve scratch --settings {params.settings:q} --run {run_facts:q} --shard {wildcards.shard} --seeds {input.seeds}"
        " {params.ledgers} --out {output.candidates} --outcomes {output.outcomes} --own-ledger {output.ledger}"
        " --usage {output.usage} > {log} 2>&1"


rule evolve_dataset:
    input:
        seeds=expand(shard_files, shard=SHARDS),
        rounds=lambda w: study.round_files(w.evolution),
        audit=f"{R}/seeds/audit.json",
    output:
        evolved=f"{e}/dataset/evolved.parquet",
        sft=f"{e}/dataset/sft.json",
    log:
        f"{logs}/evolve_dataset/{{evolution}}.log",
    benchmark:
        f"{timings}/evolve_dataset/{{evolution}}.tsv"
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=lambda w, attempt: 120 * attempt,
    params:
        settings=lambda w: study.dataset_settings(w.evolution).dump(),
        root=R,
        out=subpath(output.evolved, parent=True),
    message:
        "{wildcards.evolution}: writing the dataset with its lineage and card"
    shell:
        "mmevol evolve dataset --settings {params.settings:q} --study-root {params.root} --out {params.out}"
        " > {log} 2>&1"


rule evolve:
    input:
        [study.round_files(name) for name in study.evolve.evolutions],


rule dataset:
    input:
        expand(rules.evolve_dataset.output, evolution=list(study.evolve.evolutions)),
