"""Guards: executable definitions that look at one step and report what they find. They never act.

One kind a file: a `*Spec` Struct (what an operator writes) and a `*Guard` built from it. All are pure: the
same scene gives the same hits, in time bounded by the bytes they are shown.
"""
