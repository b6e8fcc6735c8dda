# Room 3: a model is made (base), its tower warmed, aligned on captions (pretrain), and trained on a mixture (finetune).

t = f"{R}/train"
TRAIN_MB = 3000  # PyTorch, a tiny model and its samples


rule train_base:
    input:
        shards=expand(shard_files, shard=SHARDS),
    output:
        f"{t}/base/{{backbone}}/manifest.json",
    log:
        f"{logs}/train_base/{{backbone}}.log",
    benchmark:
        f"{timings}/train_base/{{backbone}}.tsv"
    conda:
        "../../envs/train-gpu.yaml"
    container:
        gpu_image
    resources:
        mem_mb=TRAIN_MB,
        runtime=30,
    params:
        settings=lambda w: dumped(study.base_settings, w.backbone),
        out=subpath(output[0], parent=True),
        shards=lambda w, input: [f"--shard-file {path}" for path in input.shards],
    message:
        "{wildcards.backbone}: tokenizer and initial model"
    shell:
        "mmevol train base --settings {params.settings:q} {params.shards} --out {params.out} > {log} 2>&1"


rule train_warm_tower:
    input:
        base=f"{t}/base/{{backbone}}/manifest.json",
        shards=expand(shard_files, shard=SHARDS),
    output:
        f"{t}/base/{{backbone}}/warm_tower/manifest.json",
    log:
        f"{logs}/train_warm_tower/{{backbone}}.log",
    benchmark:
        f"{timings}/train_warm_tower/{{backbone}}.tsv"
    conda:
        "../../envs/train-gpu.yaml"
    container:
        gpu_image
    threads: lambda w: study.train.backbones[w.backbone].warm_tower.threads
    resources:
        mem_mb=TRAIN_MB,
        runtime=30,
    params:
        settings=lambda w: dumped(study.warm_tower_settings, w.backbone),
        base=subpath(input.base, parent=True),
        out=subpath(output[0], parent=True),
        shards=lambda w, input: [f"--shard-file {path}" for path in input.shards],
        images=study.images_root,
    message:
        "{wildcards.backbone}: warming the tower on what stands in each patch"
    shell:
        "mmevol train warm-tower --settings {params.settings:q} --base {params.base} {params.shards}"
        " --images-root {params.images} --out {params.out} > {log} 2>&1"


rule train_pretrain:
    input:
        base=f"{t}/base/{{backbone}}/manifest.json",
        tower=lambda w: study.tower(w.backbone),
        shards=expand(shard_files, shard=SHARDS),
    output:
        f"{t}/pretrain/{{backbone}}/manifest.json",
        loss=f"{t}/pretrain/{{backbone}}/loss.csv",
    log:
        f"{logs}/train_pretrain/{{backbone}}.log",
    benchmark:
        f"{timings}/train_pretrain/{{backbone}}.tsv"
    conda:
        "../../envs/train-gpu.yaml"
    container:
        gpu_image
    threads: lambda w: study.cores(w.backbone, "pretrain")
    resources:
        **of_machines(lambda w: study.train.backbones[w.backbone].machines.pretrain),
    params:
        settings=lambda w: dumped(study.pretrain_settings, w.backbone),
        base=subpath(input.base, parent=True),
        tower=lambda w, input: (
            f"--tower {Path(str(input.tower)).parent}" if input.tower else ""
        ),
        out=subpath(output[0], parent=True),
        shards=lambda w, input: [f"--shard-file {path}" for path in input.shards],
        images=f"--images-root {study.images_root}" if study.images_root else "",
    message:
        "{wildcards.backbone}: stage 1, aligning on captions"
    shell:
        "mmevol train pretrain --settings {params.settings:q} --base {params.base} {params.tower}"
        " {params.shards} {params.images} --nodes {resources.nodes} --processes {resources.processes} --cores {threads}"
        " --out {params.out} > {log} 2>&1"


rule train_mixture:
    input:
        shards=expand(shard_files, shard=SHARDS),
        evolved=lambda w: study.mixture_datasets(w.mixture),
        bases=lambda w: [
            f"{t}/base/{b}/manifest.json" for b in study.mixture_backbones(w.mixture)
        ],
    output:
        f"{t}/mixtures/{{mixture}}/ids.parquet",
        stats=f"{t}/mixtures/{{mixture}}/stats.json",
    log:
        f"{logs}/train_mixture/{{mixture}}.log",
    benchmark:
        f"{timings}/train_mixture/{{mixture}}.tsv"
    conda:
        "../../envs/train-gpu.yaml"
    container:
        gpu_image
    resources:
        mem_mb=lambda w, attempt: TRAIN_MB * attempt,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        settings=lambda w: dumped(study.mixture_settings, w.mixture),
        out=subpath(output[0], parent=True),
        shards=lambda w, input: [f"--shard-file {path}" for path in input.shards],
        evolved=lambda w, input: [
            f"--evolved {Path(path).parts[-3]}={path}" for path in input.evolved
        ],
        bases=lambda w, input: [f"--base {Path(path).parent}" for path in input.bases],
    message:
        "Mixture {wildcards.mixture}: the exact list of its Q&A, and its tokens"
    shell:
        "mmevol train mixture --settings {params.settings:q} {params.shards} {params.evolved} {params.bases}"
        " --out {params.out} > {log} 2>&1"


rule train_finetune:
    input:
        base=lambda w: f"{t}/base/{study.train.arms[w.arm].backbone}/manifest.json",
        tower=lambda w: study.tower(study.train.arms[w.arm].backbone),
        pretrained=lambda w: study.pretrained(w.arm),
        mixture=lambda w: f"{t}/mixtures/{study.train.arms[w.arm].mixture}/stats.json",
        target=lambda w: f"{t}/mixtures/{study.target_mixture(w.arm)}/stats.json",
        shards=expand(shard_files, shard=SHARDS),
        evolved=lambda w: study.mixture_datasets(study.train.arms[w.arm].mixture),
    output:
        f"{t}/finetune/{{arm}}/seed_{{seed}}/manifest.json",
        loss=f"{t}/finetune/{{arm}}/seed_{{seed}}/loss.csv",
    log:
        f"{logs}/train_finetune/{{arm}}.{{seed}}.log",
    benchmark:
        f"{timings}/train_finetune/{{arm}}.{{seed}}.tsv"
    conda:
        "../../envs/train-gpu.yaml"
    container:
        gpu_image
    threads: lambda w: study.cores(study.train.arms[w.arm].backbone, "finetune")
    resources:
        **of_machines(lambda w: study.backbone(w.arm).machines.finetune),
    params:
        settings=lambda w: dumped(study.finetune_settings, w.arm, int(w.seed)),
        base=subpath(input.base, parent=True),
        tower=lambda w, input: (
            f"--tower {Path(str(input.tower)).parent}" if input.tower else ""
        ),
        pretrained=lambda w, input: (
            f"--pretrained {Path(str(input.pretrained)).parent}"
            if input.pretrained
            else ""
        ),
        mixture=subpath(input.mixture, parent=True),
        target=subpath(input.target, parent=True),
        out=subpath(output[0], parent=True),
        shards=lambda w, input: [f"--shard-file {path}" for path in input.shards],
        evolved=lambda w, input: [
            f"--evolved {Path(path).parts[-3]}={path}" for path in input.evolved
        ],
        images=f"--images-root {study.images_root}" if study.images_root else "",
    message:
        "Arm {wildcards.arm}, seed {wildcards.seed}: stage 2, training on its mixture"
    shell:
        "mmevol train finetune --settings {params.settings:q} --base {params.base} {params.tower}"
        " {params.pretrained} --mixture {params.mixture} --target {params.target} {params.shards} {params.evolved}"
        " {params.images} --nodes {resources.nodes} --processes {resources.processes} --cores {threads}"
        " --out {params.out} > {log} 2>&1"


rule pretrain:
    input:
        expand(
            f"{t}/pretrain/{{backbone}}/manifest.json",
            backbone=study.pretrained_backbones(),
        ),


rule finetune:
    input:
        [f"{t}/finetune/{arm}/seed_{k}/manifest.json" for arm, k in study.runs()],
