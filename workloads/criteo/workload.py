"""criteo1tb and its variants, full and mini."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from algoperf.data import ArraySource, DataSource
from algoperf.data_options import DataOptions
from algoperf.facts import Facts, chosen
from algoperf.random_data import RandomSource
from algoperf.workload import Workload, first_of_two
from workloads.criteo.clicks import clicks
from workloads.criteo.data import ClickLogs
from workloads.criteo.dlrm import DLRM, ResNetDLRM, feed_dlrm
from workloads.criteo.losses import CLICKS, click_cross_entropy
from workloads.criteo.rows import RANDOM_ROW, example_batch, features

_ARCHITECTURES: Mapping[str, Callable[..., DLRM | ResNetDLRM]] = {
    "dlrm": DLRM,
    "resnet": ResNetDLRM,
}


def build(facts: Facts, folder: Path | None, options: DataOptions) -> Workload:
    """The workload of these facts; without a folder its clicks are generated.

    The model's field `architecture` is `dlrm` or `resnet`; the others are those of
    `DLRM` and `ResNetDLRM`.
    """
    fields = dict(facts.model)
    name = fields.pop("architecture", "dlrm")
    model = chosen("criteo1tb", "architecture", name, _ARCHITECTURES)(**fields)
    return Workload(
        facts=facts,
        model=model,
        example_batch=example_batch(),
        forward=feed_dlrm,
        loss=click_cross_entropy,
        metrics=CLICKS,
        data=_source(facts, folder, options),
        finish=features,
        init_key=first_of_two,
        output_params=(_last_layer(model),),
    )


def _last_layer(model: DLRM | ResNetDLRM) -> str:
    return f"Dense_{len(model.bottom_dims) + len(model.top_dims) - 1}"


def _source(facts: Facts, folder: Path | None, options: DataOptions) -> DataSource:
    if options.random:
        return RandomSource({"rows": RANDOM_ROW})
    if folder is None:
        load = functools.partial(clicks, facts.examples)
        return ArraySource(load, facts.examples["eval_train"], dict)
    return ClickLogs(folder, facts.examples, options)
