"""Where the configuration changes of a log are: a C interface only (conf_changes.pxd)."""
