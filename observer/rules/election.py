"""The first Active Router was seen, and nobody held the address before.

On the wire: adverts where there were none. At the start of the observation it may have been Active for long.

What to do: nothing. An election is counted apart and is no flap.

Not to be confused with: a take-over, which has a former Active Router.
"""
