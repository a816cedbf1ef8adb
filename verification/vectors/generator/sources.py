"""Where each fault was seen: issues and pull requests of public repositories, as owner/name#number."""

from __future__ import annotations

NONE_KNOWN = "none known"
SOURCES = {
    "A01": "dragen1860/MAML-Pytorch#17, #32, #63; pytorch/benchmark#328; kjaved0/mrcl#15",
    "A02": "hoyeoplee/MeLU#9",
    "A03": "KanishJebaMathewM/Truxify#13118",
    "A04": "tristandeleu/pytorch-maml-rl#19; cnguyen10/few_shot_meta_learning#6",
    "A05": "facebookresearch/higher#63, #102, #129",
    "A06": "facebookresearch/higher#30, #54, #69",
    "A09": "tensorflow/tensorflow#7403",
    "B01": "learnables/learn2learn#420",
    "B02": "openai/supervised-reptile, class FOML, where it is a convention",
    "B05": "tristandeleu/pytorch-maml until 2019-05",
    "B06": "gmum/few-shot-hypernets-public#6",
    "B07": "AntreasAntoniou/FewShotContinualLearning#2",
    "B08": "rlworkgroup/garage#1269; hereismari/tensorflow-maml#3",
    "B11": "a convention: ivy averages K + 1 points, MAML++ weights them",
    "C01": "hereismari/tensorflow-maml#4",
    "C02": "ivy 1.0.0.5, outer_cost_fn=None with two batch functions and averaging",
    "C05": "cbfinn/maml, xent(...)/update_batch_size",
    "C06": "learnables/learn2learn#190",
    "D01": "facebookresearch/higher#92; learnables/learn2learn#232",
    "D03": "hereismari/tensorflow-maml#6",
    "D04": "learnables/learn2learn#388",
    "D07": "ivy 1.0.0.5, maml_step(batched=False)",
    "D08": "ivy 1.0.0.5",
    "D09": "Nithin-Holla/MetaWSD#3",
    "E01": "naruya/maml-pytorch#1; ooples/AiDotNet#833",
    "F01": "learnables/learn2learn#174",
    "F02": "learnables/learn2learn#92, #314, #387",
    "F03": "torchmeta with plain layers; metaopt/torchopt#144",
    "G01": "learnables/learn2learn#211",
    "G03": "ivy 1.0.0.5, reptile_step",
    "G04": "dragen1860/Reptile-Pytorch#2",
    "G06": "openai/supervised-reptile, pre_step_op, where it is a feature",
    "G07": "cbfinn/maml for miniImageNet",
    "G09": "quark0/darts#21",
}


def source_of(fault: str) -> str:
    """Return where a fault, or the fault that it is a variant of, was seen."""
    return SOURCES.get(fault.split("/", maxsplit=1)[0], NONE_KNOWN)
