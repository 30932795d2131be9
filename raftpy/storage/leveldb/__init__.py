"""The store on disk: LevelDB, and the files beside it."""
