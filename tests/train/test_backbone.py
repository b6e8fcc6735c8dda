from pathlib import Path

import pytest
import torch
from mmevol.config.commands import BaseSettings, Run
from mmevol.config.train import PublishedModel, TinyModel
from mmevol.train.backbone import (
    base,
    base_model,
    load_base,
    load_processor,
    module_of,
    published_config,
    read_manifest,
    tiny_model,
    weights_digest,
)
from tiny_study import MODEL, Study
from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextForConditionalGeneration, Qwen2Config

PUBLISHED = {
    "qwen2": Qwen2Config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    ),
    "llama3": LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=False,
    ),
}
"""The shapes of Qwen2-7B-Instruct and Llama-3-8B-Instruct."""


@pytest.mark.parametrize(
    ("family", "parameters", "projector"), [("qwen2", 7935649792, 16522240), ("llama3", 8354752512, 20979712)]
)
def test_full_size_models(tmp_path: Path, family: str, parameters: int, projector: int) -> None:
    PUBLISHED[family].save_pretrained(tmp_path / "language")
    CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    ).save_pretrained(tmp_path / "vision")
    model = PublishedModel(
        language=str(tmp_path / "language"),
        vision=str(tmp_path / "vision"),
        template=family,  # type: ignore[arg-type]
    )
    config = published_config(model, image_token=7)
    with torch.device("meta"):
        built = LlavaNextForConditionalGeneration(config)
    sizes = {"language": 0, "projector": 0, "tower": 0}
    for name, parameter in built.named_parameters():
        sizes[module_of(name)] += parameter.numel()
    assert sum(sizes.values()) == parameters
    assert sizes["projector"] == projector
    assert sizes["tower"] == 303507456
    assert config.image_grid_pinpoints == [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
    assert config.vision_feature_layer == -2


def test_the_tiny_model_is_the_same_each_time_and_loads_as_saved(study: Study, tmp_path: Path) -> None:
    again = tmp_path / study.base.name
    base(BaseSettings(seed=1, model=MODEL), run=Run(), shards=study.shards, out=again)
    assert read_manifest(again) == read_manifest(study.base)
    assert (again / "model.safetensors").read_bytes() == (study.base / "model.safetensors").read_bytes()
    loaded = load_base(again, tower=None, dtype=torch.float32, attention="sdpa")
    built = tiny_model(MODEL, load_processor(again).tokenizer, "initial", 1)
    assert weights_digest(loaded) == weights_digest(built)
    assert weights_digest(tiny_model(MODEL, load_processor(again).tokenizer, "initial", 2)) != weights_digest(built)


def test_another_seed_or_model_is_another_base(study: Study, tmp_path: Path) -> None:
    digests = {read_manifest(study.base)["digest"]}
    wider = MODEL.model_copy(update={"width": 64})
    for name, settings in {
        "seed": BaseSettings(seed=2, model=MODEL),
        "model": BaseSettings(seed=1, model=wider),
    }.items():
        base(settings, run=Run(), shards=study.shards, out=tmp_path / name)
        digests.add(read_manifest(tmp_path / name)["digest"])
    assert len(digests) == 3
    assert base_model(tmp_path / "model") == wider


def test_the_processor_comes_back_with_pillow_and_its_template(study: Study) -> None:
    processor = load_processor(study.base)
    assert type(processor.image_processor).__name__ == "LlavaNextImageProcessorPil"
    assert processor.image_processor.image_grid_pinpoints == [[80, 80]]
    assert "generation" in processor.tokenizer.chat_template


def test_modules_partition_the_parameters(study: Study) -> None:
    model = load_base(study.base, tower=None, dtype=torch.float32, attention="sdpa")
    found = {module_of(name) for name, _ in model.named_parameters()}
    assert found == {"language", "projector", "tower"}
    assert module_of("model.image_newline") == "language"
    assert module_of("lm_head.weight") == "language"
    assert module_of("model.multi_modal_projector.linear_1.bias") == "projector"


def test_patches_fill_the_picture() -> None:
    with pytest.raises(ValueError, match="multiple of patch_size"):
        TinyModel(image_size=80, patch_size=15)
