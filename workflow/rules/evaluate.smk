# Room
rule evaluate:
    input:
        rules.finetune.input,
