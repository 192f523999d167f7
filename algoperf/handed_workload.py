"""The workload as a submission gets it: the same model and loss, without the data."""

from dataclasses import replace

from algoperf.data import Batches
from algoperf.facts import Split
from algoperf.workload import Workload


class NoData:
    """The data of a workload that is handed to a submission: refused."""

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Raises RuntimeError."""
        del batch_size, seed, position
        raise RuntimeError(
            f"a submission may not read the {split} split of its workload: training "
            "batches come from `input_queue` in data_selection, and what was measured "
            "on the other splits from `eval_results`"
        )


def handed_to_submission(workload: Workload) -> Workload:
    """A copy for the submission of one trial.

    What it changes in it is not what is evaluated, and there is no data in it.
    """
    handed = replace(
        workload,
        facts=replace(workload.facts),
        model=workload.model.clone(),
        data=NoData(),
        metrics_logger=None,
    )
    # Found out now, and not on the submission's clock.
    _ = handed.param_shapes, handed.model_params_types
    return handed
