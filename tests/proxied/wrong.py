"""What a fuzzed piece of the product may not do."""


class Wrong(AssertionError):
    """The product gave a wrong answer: neither the right one nor a declared refusal."""
