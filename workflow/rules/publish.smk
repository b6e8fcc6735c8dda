# Room
rule tables:
    input:
        rules.finetune.input,


rule paper_figures:
    input:
        rules.finetune.input,
