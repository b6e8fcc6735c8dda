"""LLaVA-NeXT models: tiny ones built from config, full-size ones put together from published parts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmevol.config import Run
from mmevol.config.commands import BaseSettings
from mmevol.config.train import Model, PublishedModel, TinyModel
from mmevol.progress import Heartbeat
from mmevol.records import digest, turns
from mmevol.store import write_json
from mmevol.train.samples import read_seeds
from mmevol.train.tokenizer import CHATS, published_tokenizer, train_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import LlavaNextForConditionalGeneration, LlavaNextProcessor, PreTrainedTokenizerFast

MODULES = ("language", "projector", "tower")


def module_of(parameter: str) -> str:
    """The module of `MODULES` that a parameter's name belongs to; the newline embedding goes with the language model."""
    if ".vision_tower." in f".{parameter}":
        return "tower"
    return "projector" if ".multi_modal_projector." in f".{parameter}" else "language"


@contextmanager
def seeded(*key: str | int) -> Iterator[None]:
    """Torch's random numbers drawn from the digest of `key` inside the block, untouched outside."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(digest(*key)[:15], 16))
        yield


def processor(model: Model, tokenizer: "PreTrainedTokenizerFast") -> "LlavaNextProcessor":
    """Pictures and text to model input. The Pillow image processor: no torchvision."""
    from transformers import LlavaNextProcessor
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

    if isinstance(model, TinyModel):
        side, patch, pinpoints = model.image_size, model.patch_size, [(model.image_size, model.image_size)]
        scale: dict[str, Any] = {"image_mean": [model.image_mean] * 3, "image_std": [model.image_std] * 3}
    else:
        side, patch, pinpoints, scale = 336, 14, model.pinpoints, {}
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=[list(p) for p in pinpoints],
        **scale,
    )
    return LlavaNextProcessor(  # type: ignore[no-untyped-call]
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=tokenizer.chat_template,
    )


def image_token(model: Model, tokenizer: "PreTrainedTokenizerFast") -> int:
    """The id of the placeholder of pictures."""
    found = tokenizer.convert_tokens_to_ids(CHATS[model.kind if model.kind == "tiny" else model.template].image)
    assert isinstance(found, int)
    return found


def tiny_model(
    model: TinyModel, tokenizer: "PreTrainedTokenizerFast", *seed: str | int
) -> "LlavaNextForConditionalGeneration":
    """A new tiny model. Its language model starts from a larger scale than the usual 0.02, which hardly learns in a minute."""
    from transformers import CLIPVisionConfig, LlavaNextConfig, LlavaNextForConditionalGeneration, Qwen2Config

    vision = CLIPVisionConfig(
        hidden_size=model.tower_width,
        intermediate_size=3 * model.tower_width,
        num_hidden_layers=model.tower_layers,
        num_attention_heads=model.heads,
        image_size=model.image_size,
        patch_size=model.patch_size,
        projection_dim=model.tower_width,
    )
    text = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=model.width,
        intermediate_size=3 * model.width,
        num_hidden_layers=model.layers,
        num_attention_heads=model.heads,
        num_key_value_heads=model.heads,
        max_position_embeddings=2 * model.max_length,
        initializer_range=model.init,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},  # the published Qwen2's
        tie_word_embeddings=True,
        **_token_ids(tokenizer),
    )
    config = LlavaNextConfig(
        vision_config=vision,
        text_config=text,
        image_grid_pinpoints=[[model.image_size, model.image_size]],
        image_token_index=image_token(model, tokenizer),
        image_seq_length=(model.image_size // model.patch_size) ** 2,
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    config.initializer_range = model.init  # of the projector
    with seeded(*seed):
        built = LlavaNextForConditionalGeneration(config)
    _set_token_ids(built, tokenizer)
    return built


def published_config(model: PublishedModel, image_token: int) -> Any:
    """The configuration of a full-size model, from the configurations of its parts."""
    from transformers import AutoConfig, CLIPVisionConfig, LlavaNextConfig

    vision = CLIPVisionConfig.from_pretrained(model.vision, revision=model.vision_revision)
    text = AutoConfig.from_pretrained(model.language, revision=model.language_revision)
    return LlavaNextConfig(
        vision_config=vision,
        text_config=text,
        image_grid_pinpoints=[list(p) for p in model.pinpoints],
        image_token_index=image_token,
        vision_feature_layer=-2,
        tie_word_embeddings=text.tie_word_embeddings,
    )


def published_model(
    model: PublishedModel, tokenizer: "PreTrainedTokenizerFast", dtype: "torch.dtype", *seed: str | int
) -> "LlavaNextForConditionalGeneration":
    """A full-size model: weights of both published parts, projector and newline embedding new."""
    from transformers import AutoModelForCausalLM, CLIPVisionModel, LlavaNextForConditionalGeneration

    config = published_config(model, image_token(model, tokenizer))
    config.dtype = dtype
    with seeded(*seed):
        whole: Any = LlavaNextForConditionalGeneration._from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
        for layer in (whole.model.multi_modal_projector.linear_1, whole.model.multi_modal_projector.linear_2):
            layer.reset_parameters()
    language = AutoModelForCausalLM.from_pretrained(model.language, revision=model.language_revision, dtype=dtype)
    vision = CLIPVisionModel.from_pretrained(model.vision, revision=model.vision_revision, dtype=dtype)
    whole.model.language_model.load_state_dict(language.model.state_dict())
    whole.lm_head.load_state_dict(language.lm_head.state_dict())
    whole.model.vision_tower.load_state_dict(vision.state_dict())
    _set_token_ids(whole, tokenizer)
    model_: LlavaNextForConditionalGeneration = whole
    return model_


def _token_ids(tokenizer: "PreTrainedTokenizerFast") -> dict[str, Any]:
    return {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}


def _set_token_ids(model: "LlavaNextForConditionalGeneration", tokenizer: "PreTrainedTokenizerFast") -> None:
    """Greedy answers that end at the chat's end token, whatever generation settings came with the parts."""
    from transformers import GenerationConfig

    ids = _token_ids(tokenizer)
    model.generation_config = GenerationConfig(do_sample=False, **ids)  # type: ignore[no-untyped-call]


def weights_digest(model: "torch.nn.Module") -> str:
    """Digest of all parameters and buffers, by name, type and bytes."""
    import torch

    parts: list[str | bytes] = []
    for name, tensor in sorted(model.state_dict().items()):
        flat = tensor.detach().cpu().contiguous()
        parts += [name, str(flat.dtype), str(tuple(flat.shape)), flat.reshape(-1).view(torch.uint8).numpy().tobytes()]
    return digest(*parts)


def base(settings: BaseSettings, *, run: Run, shards: list[Path], out: Path) -> None:
    """Write the processor, for a tiny backbone also its tokenizer and initial weights, and ``manifest.json`` into `out`.

    The tokenizer sees captions and seed Q&A of the train split, never what was evolved.
    """
    model = settings.model
    with Heartbeat(run, job=f"train/base/{out.name}", total=1, unit="models") as beat:
        out.mkdir(parents=True, exist_ok=True)
        if isinstance(model, TinyModel):
            texts = [t for r in read_seeds(shards) for t in (r.caption, *(s for qa in r.qas for s in turns(qa))) if t]
            tokenizer = train_tokenizer(texts, model.vocabulary)
            initial = tiny_model(model, tokenizer, "initial", settings.seed)
            initial.save_pretrained(out)
            weights, parameters = weights_digest(initial), initial.num_parameters()
        else:
            tokenizer = published_tokenizer(model)
            weights, parameters = model.dump(), None
        processor(model, tokenizer).save_pretrained(out)
        identity = digest(weights, tokenizer.backend_tokenizer.to_str(), str(tokenizer.chat_template))
        manifest = {
            "digest": identity,
            "model": model.model_dump(mode="json"),
            "parameters": parameters,
            "seed": settings.seed,
            "vocabulary": len(tokenizer),
        }
        write_json(out / "manifest.json", manifest)
        beat.advance()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished folder; its presence means that all else in it is whole."""
    value: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return value


def load_processor(folder: Path) -> "LlavaNextProcessor":
    """The processor saved in a folder, with the Pillow image processor."""
    from transformers import LlavaNextProcessor

    return LlavaNextProcessor.from_pretrained(folder)


def base_model(folder: Path) -> Model:
    """The settings of the backbone in a base folder."""
    from pydantic import TypeAdapter

    model: Model = TypeAdapter(Model).validate_python(read_manifest(folder)["model"])
    return model


def load_base(
    folder: Path, *, tower: Path | None, dtype: "torch.dtype", attention: str
) -> "LlavaNextForConditionalGeneration":
    """The initial model of a base folder, with the warmed tower of the folder `tower` where one is given."""
    from safetensors.torch import load_file
    from transformers import LlavaNextForConditionalGeneration

    settings = base_model(folder)
    if isinstance(settings, TinyModel):
        model = LlavaNextForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    else:
        seed = read_manifest(folder)["seed"]
        model = published_model(settings, load_processor(folder).tokenizer, dtype, "initial", seed)
    if tower:
        model.model.vision_tower.load_state_dict(load_file(tower / "tower.safetensors"))
    model.set_attn_implementation(attention)
    return model
