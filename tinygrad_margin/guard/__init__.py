"""What guards a Value: error messages, refusals, copying and pickling."""
