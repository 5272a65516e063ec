"""Setup guides: what a tenant does at a provider before access can be held, as data.

A file `guides/<provider>.toml` has one `GuideTemplate` for each method.  `fill_guide` makes a `Guide` of it: every placeholder is
replaced by its value, quoted for the place where it stands, or stays visible as `<NAME>`.

Nothing is imported here: managers load `values` and `policies`, and only a guide that is shown loads the rest.
"""
