"""``videoexpert serve``: the five verbs over HTTP, and the page at ``/``."""
