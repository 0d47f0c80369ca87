package owner

import "os"

// keepOwner has nothing to do where the folder says whose its files are.
func keepOwner(*os.File, os.FileInfo) error { return nil }
