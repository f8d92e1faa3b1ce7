"""The course: what its steps share, the parts of the checker, and the one source of exercises and solutions."""

from .arguments import CheckArguments as CheckArguments
from .arguments import ServiceStepArguments as ServiceStepArguments
from .arguments import StepArguments as StepArguments
from .arguments import TrainingStepArguments as TrainingStepArguments
from .arguments import load_arguments as load_arguments
from .arguments import model_folder as model_folder
from .arguments import trained_folder as trained_folder
from .arguments import with_steps_named as with_steps_named
