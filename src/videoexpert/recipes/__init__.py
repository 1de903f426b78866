"""Every kind of recipe: data only, and its loading.

training.py    what trains on what
shipped.py     the stages of the model in the package
ablation.py    the variants of the paper's tables, on the synthetic world
fields.py      kinds of values that they share
load.py        YAML with overrides to a recipe, and back
"""

from .ablation import AblationRecipe, TextBaseRecipe
from .load import KINDS, RECIPE, claim, from_mapping, load_recipe, save_recipe
from .shipped import BaseRecipe, ShippedRecipe, TextRecipe, TowerRecipe
from .training import EvaluationRecipe, ModelRecipe, Recipe, SourceRecipe, TrainingRecipe

__all__ = [
    "KINDS",
    "RECIPE",
    "AblationRecipe",
    "BaseRecipe",
    "EvaluationRecipe",
    "ModelRecipe",
    "Recipe",
    "ShippedRecipe",
    "SourceRecipe",
    "TextBaseRecipe",
    "TextRecipe",
    "TowerRecipe",
    "TrainingRecipe",
    "claim",
    "from_mapping",
    "load_recipe",
    "save_recipe",
]
