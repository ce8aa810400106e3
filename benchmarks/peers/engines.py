"""What is measured: fallow's variants and its peers, on the real model and on random weights."""

from dataclasses import dataclass, field

BASE = "fallow q4_1"  # fallow as a user gets it: the weights as the file stores them


@dataclass(frozen=True)
class Entry:
    name: str
    family: str  # what --only names; peers.sh prepares families
    model: str  # below build/peers/models; "": the real model's file
    beside: str = BASE  # the variant of fallow that it is compared with: the same bits a weight
    options: dict = field(default_factory=dict)  # for the constructor of its engine

    @property
    def module(self):
        return self.family.replace(".", "_") + "_engine"

    @property
    def venv(self):
        """Below build/."""
        return "venv" if self.family == "fallow" else "peers/venv"


REAL_MODEL = [
    Entry(BASE, "fallow", ""),
    Entry("fallow q4", "fallow", "", options={"weights": "q4"}),
    Entry("fallow q8_0", "fallow", "smollm2-q8_0.gguf"),
    Entry("fallow bf16", "fallow", "", options={"weights": "bf16"}),
    Entry("fallow fp32", "fallow", "", options={"numeric_class": "fp32"}),
    Entry("llama.cpp q4_1", "llama.cpp", ""),
    Entry("llama.cpp q4_0", "llama.cpp", "smollm2-q4_0.gguf"),
    Entry("llama.cpp q8_0", "llama.cpp", "smollm2-q8_0.gguf", "fallow q8_0"),
    Entry("llama.cpp bf16", "llama.cpp", "smollm2-bf16.gguf", "fallow bf16"),
    Entry("OpenVINO int4", "openvino", "openvino-int4"),
    Entry("OpenVINO int8", "openvino", "openvino-int8", "fallow q8_0"),
    Entry("CTranslate2 int8", "ctranslate2", "ctranslate2-int8", "fallow q8_0",
          {"compute_type": "int8"}),
    Entry("transformers bf16", "transformers", "hf", "fallow bf16", {"dtype": "bfloat16"}),
    Entry("transformers fp32", "transformers", "hf", "fallow fp32", {"dtype": "float32"}),
]

FAMILIES = list(dict.fromkeys(entry.family for entry in REAL_MODEL))


def random_model(shape, type):
    """fallow and llama.cpp on the same file of random weights."""
    file = f"{shape}-{type}.gguf"
    return [Entry(f"fallow {type}", "fallow", file, f"fallow {type}"),
            Entry(f"llama.cpp {type}", "llama.cpp", file, f"fallow {type}")]


RANDOM_MODELS = {f"{shape}-like {type}": random_model(shape, type)
                 for shape in ("1b", "8b") for type in ("q8_0", "q4_0", "iq4_nl")}
