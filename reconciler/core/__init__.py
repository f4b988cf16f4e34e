"""The decision, and the words it is made in.

Values in, values out: nothing here does I/O, reads a clock or knows a library.
`merge` decides about one property, `plan` about one pair, `ports` says what the floors below must offer.
"""
