"""RESERVED: another colleague writes this scenario right now (since 03:05). Leave it; go on with the others."""
