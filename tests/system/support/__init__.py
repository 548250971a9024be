# SPDX-License-Identifier: Apache-2.0
"""What the scenarios of tests/system stand on: a whole Sallyport of their own, and hostile hands."""
