from .data.events import Events as Events
from .data.ledger import Ledger as Ledger
from .data.select import select as select, split_patients as split_patients
from .data.sequences import Sequences as Sequences
from .data.simulate import Ward as Ward, simulate as simulate
from .data.sources.read import read_events as read_events
from .data.task import Task as Task
from .data.variables import Dictionary as Dictionary, Variable as Variable
from .errors import ClinicalGRUError as ClinicalGRUError
from .evaluate.evaluation import Evaluation as Evaluation, evaluate as evaluate
from .explain.contributions import explain as explain
from .explain.result import Explanation as Explanation
from .model.baseline import SummaryBaseline as SummaryBaseline
from .model.estimators import GRUClassifier as GRUClassifier
from .serve.bundle import load as load, save as save
from .serve.score import score as score
from .view.evaluation_page import evaluation_page as evaluation_page
from .view.patient_page import patient_page as patient_page
