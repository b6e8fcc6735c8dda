# Room 1: seed records are drawn or read, audited, and given Q&A where they have only a caption.


rule seeds_draw:
    output:
        f"{R}/seeds/world.jsonl",
    log:
        f"{logs}/seeds_draw.log",
    benchmark:
        f"{timings}/seeds_draw.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        settings=lambda w: dumped(study.draw_settings),
        images=study.images_root,
    message:
        "Drawing the demo's world"
    shell:
        "mmevol seeds draw --settings {params.settings:q} --records {output} --images {params.images} > {log} 2>&1"


rule seeds_photos:
    output:
        f"{R}/seeds/photos.jsonl",
    log:
        f"{logs}/seeds_photos.log",
    benchmark:
        f"{timings}/seeds_photos.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        images=study.images_root,
    message:
        "Taking the photographs out of their packages"
    shell:
        "mmevol seeds photos --records {output} --images {params.images} > {log} 2>&1"


rule seeds_audit:
    input:
        study.records,
    output:
        shards=expand(f"{R}/seeds/audited/{{shard}}.parquet", shard=SHARDS),
        heldout=f"{R}/seeds/heldout.parquet",
        audit=f"{R}/seeds/audit.json",
    log:
        f"{logs}/seeds_audit.log",
    benchmark:
        f"{timings}/seeds_audit.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        mem_mb=1000,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        settings=lambda w: dumped(study.audit_settings),
        out=subpath(output.audit, parent=True),
        images=f"--images-root {study.images_root}" if study.images_root else "",
    message:
        "Looking at every record and picture of {input}"
    shell:
        "mmevol seeds audit --settings {params.settings:q} --records {input} {params.images} --out {params.out} > {log} 2>&1"


curating = (lambda w: study.served(study.seeds.curate.endpoint)) if SERVED else None


rule seeds_curate:
    input:
        f"{R}/seeds/audited/{{shard}}.parquet",
    output:
        shard=f"{R}/seeds/shards/{{shard}}.parquet",
        usage=f"{R}/seeds/usage/{{shard}}.json",
    log:
        f"{logs}/seeds_curate/{{shard}}.log",
    benchmark:
        f"{timings}/seeds_curate/{{shard}}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: cores(curating)
    resources:
        **of_servers(curating, mem_mb=1000, runtime=240),
    params:
        settings=lambda w: dumped(study.curate_settings),
    message:
        "Asking for Q&A about the pictures that have only a caption (shard {wildcards.shard})"
    shell:
        "mmevol seeds curate --settings {params.settings:q} --shard {wildcards.shard}"
        " --records {input} --out {output.shard} --usage {output.usage} > {log} 2>&1"


# Where the shards lie that the next room reads: curated, or as they were audited.
shard_files = (
    f"{R}/seeds/{'shards' if study.seeds.curate else 'audited'}/{{shard}}.parquet"
)


rule seeds:
    input:
        expand(shard_files, shard=SHARDS),
        f"{R}/seeds/heldout.parquet",
        f"{R}/seeds/audit.json",
