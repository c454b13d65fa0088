"""The doctor: what is wrong with a training, where, and what to do. Imports what `train` does.

`Model.diagnose` looks at samples and a model; `Doctor` is a callback that warns while a model trains. Thresholds, with
their reasons, are in `thresholds.py`; `rows.py`, `net.py` and `course.py` look at samples, the net and the training.
"""

from .callback import Doctor, DoctorWarning
from .findings import Diagnosis, Finding

__all__ = ["Diagnosis", "Doctor", "DoctorWarning", "Finding"]
