from .attribution.differentiable import AttributionMethod as AttributionMethod
from .attribution.differentiable import IntegratedGradients as IntegratedGradients
from .attribution.differentiable import attribute_and_predict as attribute_and_predict
from .attribution.differentiable import expected_gradients as expected_gradients
from .attribution.differentiable import gradient as gradient
from .attribution.differentiable import input_x_gradient as input_x_gradient
from .attribution.differentiable import integrated_gradients as integrated_gradients
from .attribution.differentiable import load_attribution as load_attribution
from .attribution.differentiable import simplex_gradient as simplex_gradient
from .attribution.explain import explain as explain
from .attribution.explainers.subject import Explanation as Explanation
from .attribution.model_check import check_model as check_model
from .components.architecture import Architecture as Architecture
from .components.metric import Metric as Metric
from .components.metric import TrialArrays as TrialArrays
from .components.prior import Attribution as Attribution
from .components.prior import Prior as Prior
from .components.prior_bases import AttributionPrior as AttributionPrior
from .components.prior_bases import GradientPrior as GradientPrior
from .components.prior_bases import Penalty as Penalty
from .components.registry import load_prior as load_prior
from .components.section import Section as Section
from .components.task import Batch as Batch
from .components.task import Task as Task
from .errors import UserError as UserError

__version__: str
