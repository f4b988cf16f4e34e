"""What the API takes and shows, by the mapping that ships."""

from api.bodies import forms_of
from reconciler.mapping.reading import load

FORMS = forms_of(load(None))
