"""How the golden vectors are made: from the definition, in ball arithmetic, with every digit proved.

It shares no code with `refmaml`, nor with the rest of `verification`. Read `step` first, then `costs`, `faults` and
`certificate`; `confirmation` is the second route, and `recipes` says which vectors there are. It needs the extra
`vectors`; reading the vectors does not.
"""
