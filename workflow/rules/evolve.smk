# Room 2: each round asks (an endpoint, no threshold) and eliminates (thresholds, no endpoint). Shards never wait for each other.

e = f"{R}/evolve/{{evolution}}"
serving = (lambda w: study.served_for(w.evolution)) if SERVED else None


rule evolve_judge_seeds:
    input:
        seeds=shard_files,
        taken=lambda w: study.taken(w.evolution, w.shard),
        turn=lambda w: ancient(study.bucket_turn(w.evolution, 0, w.shard)),
    output:
        candidates=f"{e}/round_0/candidates/{{shard}}.parquet",
        requests=f"{e}/round_0/candidates/{{shard}}.json",
        tries=temp(f"{e}/round_0/candidates/{{shard}}.tries.jsonl"),
        usage=f"{e}/round_0/usage/{{shard}}.json",
    log:
        f"{logs}/evolve_judge_seeds/{{evolution}}.{{shard}}.log",
    benchmark:
        f"{timings}/evolve_judge_seeds/{{evolution}}.{{shard}}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: cores(serving)
    resources:
        **of_servers(serving, mem_mb=1000, runtime=240),
    params:
        settings=lambda w: dumped(study.ask_settings, w.evolution, 0),
        taken=lambda w, input: f"--frontier {input.taken}" if input.taken else "",
    message:
        "{wildcards.evolution}: judging the seeds (shard {wildcards.shard})"
    shell:
        "mmevol evolve ask --settings {params.settings:q} --shard {wildcards.shard} --seeds {input.seeds}"
        " {params.taken} --out {output.candidates} --usage {output.usage} > {log} 2>&1"


rule evolve_ask:
    input:
        seeds=shard_files,
        frontier=lambda w: study.frontier(w.evolution, int(w.round) - 1, w.shard),
        turn=lambda w: ancient(study.bucket_turn(w.evolution, int(w.round), w.shard)),
    output:
        candidates=f"{e}/round_{{round}}/candidates/{{shard}}.parquet",
        requests=f"{e}/round_{{round}}/candidates/{{shard}}.json",
        tries=f"{e}/round_{{round}}/candidates/{{shard}}.tries.jsonl",
        usage=f"{e}/round_{{round}}/usage/{{shard}}.json",
    log:
        f"{logs}/evolve_ask/{{evolution}}.{{round}}.{{shard}}.log",
    benchmark:
        f"{timings}/evolve_ask/{{evolution}}.{{round}}.{{shard}}.tsv"
    wildcard_constraints:
        evolution="|".join(FULL) or "none",
        round="[1-9][0-9]*",
    conda:
        "../../envs/base.yaml"
    threads: cores(serving)
    resources:
        **of_servers(serving, mem_mb=1000, runtime=480),
    params:
        settings=lambda w: dumped(study.ask_settings, w.evolution, int(w.round)),
        frontier=lambda w, input: (
            f"--frontier {input.frontier}" if input.frontier else ""
        ),
    message:
        "{wildcards.evolution}, round {wildcards.round}: asking for candidates and verdicts (shard {wildcards.shard})"
    shell:
        "mmevol evolve ask --settings {params.settings:q} --shard {wildcards.shard} --seeds {input.seeds}"
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
    log:
        f"{logs}/evolve_eliminate/{{evolution}}.{{round}}.{{shard}}.log",
    benchmark:
        f"{timings}/evolve_eliminate/{{evolution}}.{{round}}.{{shard}}.tsv"
    wildcard_constraints:
        evolution="|".join(FULL) or "none",
        round="[1-9][0-9]*",
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=lambda w, attempt: 1000 * attempt,
        runtime=lambda w, attempt: 30 * attempt,
    params:
        settings=lambda w: dumped(study.eliminate_settings, w.evolution, int(w.round)),
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
    log:
        f"{logs}/evolve_scratch/{{evolution}}.{{shard}}.log",
    benchmark:
        f"{timings}/evolve_scratch/{{evolution}}.{{shard}}.tsv"
    wildcard_constraints:
        evolution="|".join(SCRATCH) or "none",
    conda:
        "../../envs/base.yaml"
    threads: cores(serving)
    resources:
        **of_servers(serving, mem_mb=1000, runtime=480),
    params:
        settings=lambda w: dumped(study.scratch_settings, w.evolution),
        ledgers=lambda w, input: [f"--ledger {path}" for path in input.ledgers],
    message:
        "{wildcards.evolution}: asking for fresh Q&A, as many calls as the evolution made (shard {wildcards.shard})"
    shell:
        "mmevol evolve scratch --settings {params.settings:q} --shard {wildcards.shard} --seeds {input.seeds}"
        " {params.ledgers} --out {output.candidates} --outcomes {output.outcomes} --own-ledger {output.ledger}"
        " --usage {output.usage} > {log} 2>&1"


# The embedded teacher plants faults; which item got which is recomputed from the requests, and joined with what the gates did.
rule evolve_faults:
    input:
        f"{e}/round_{{round}}/candidates/{{shard}}.tries.jsonl",
    output:
        f"{e}/round_{{round}}/faults/{{shard}}.jsonl",
    log:
        f"{logs}/evolve_faults/{{evolution}}.{{round}}.{{shard}}.log",
    benchmark:
        f"{timings}/evolve_faults/{{evolution}}.{{round}}.{{shard}}.tsv"
    wildcard_constraints:
        round="[1-9][0-9]*",
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=30,
    params:
        faults=lambda w: study.faults(w.evolution),
    message:
        "{wildcards.evolution}, round {wildcards.round}: which faults the teacher planted (shard {wildcards.shard})"
    shell:
        "mmevol teacher faults {input} {output} --faults {params.faults:q} > {log} 2>&1"


rule evolve_planted:
    input:
        faults=lambda w: study.round_files(w.evolution, "faults", suffix="jsonl"),
        candidates=lambda w: study.round_files(w.evolution, "candidates"),
        ledgers=lambda w: study.round_files(w.evolution, "ledger"),
    output:
        f"{e}/faults.parquet",
    log:
        f"{logs}/evolve_planted/{{evolution}}.log",
    benchmark:
        f"{timings}/evolve_planted/{{evolution}}.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        faults=lambda w, input: [f"--faults {path}" for path in input.faults],
        candidates=lambda w, input: [
            f"--candidates {path}" for path in input.candidates
        ],
        ledgers=lambda w, input: [f"--ledger {path}" for path in input.ledgers],
    message:
        "{wildcards.evolution}: what the gates did with the planted faults"
    shell:
        "mmevol evolve planted {params.faults} {params.candidates} {params.ledgers} --out {output} > {log} 2>&1"


rule evolve_dataset:
    input:
        seeds=expand(shard_files, shard=SHARDS),
        rounds=lambda w: study.lineage_files(w.evolution),
        audit=f"{R}/seeds/audit.json",
    output:
        evolved=f"{e}/dataset/evolved.parquet",
        sft=f"{e}/dataset/{study.sft}",
        card=f"{e}/dataset/README.md",
    log:
        f"{logs}/evolve_dataset/{{evolution}}.log",
    benchmark:
        f"{timings}/evolve_dataset/{{evolution}}.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=lambda w, attempt: 120 * attempt,
    params:
        settings=lambda w: dumped(study.dataset_settings, w.evolution),
        root=subpath(output.evolved, ancestor=4),
        out=subpath(output.evolved, parent=True),
    message:
        "{wildcards.evolution}: writing the dataset with its lineage and card"
    shell:
        "mmevol evolve dataset --settings {params.settings:q} --study-root {params.root} --out {params.out}"
        " > {log} 2>&1"


rule evolve:
    input:
        [study.lineage_files(name) for name in study.evolve.evolutions],


rule dataset:
    input:
        expand(rules.evolve_dataset.output, evolution=list(study.evolve.evolutions)),
