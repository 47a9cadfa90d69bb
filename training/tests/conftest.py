"""hippynn warns when it is imported; warnings are errors in these tests, so that is done here."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import hippynn  # noqa: F401
