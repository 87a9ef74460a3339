"""Names of private parts that commands, adapters and the console use: one module per subject.

Those three use public names and this folder, and no other private part. So it lists in one place
what they rely on, and the parts below can be rebuilt. No module here defines anything: each passes
names on, and a test fails for a name that nobody uses any more.
"""
