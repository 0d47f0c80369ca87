package owner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// successorFile is a file that is about to take another's place, with the same mode and owner.
type successorFile struct {
	*os.File
	target string
}

// errReadOnly says that the token can't be renewed, mostly as its file can't be replaced.
var errReadOnly = errors.New("the token can't be replaced")

// errMounted says the same when it is found out only at the end.
var errMounted = errors.New("mount its folder and not the file alone")

// succeed makes an empty file beside the one of that name. It is made before there is anything
// to be written, as a token that can't be kept must not be minted.
func succeed(path string) (*successorFile, error) {
	target, err := filepath.EvalSymlinks(path) // what a link points to is replaced, and not the link
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReadOnly, err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReadOnly, err)
	}
	file, err := os.CreateTemp(filepath.Dir(target), ".coderhook-*")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReadOnly, err)
	}
	s := &successorFile{file, target}
	if err := errors.Join(writable(target), keepOwner(file, info), file.Chmod(info.Mode().Perm())); err != nil {
		s.giveUp()
		return nil, fmt.Errorf("%w: %w", errReadOnly, err)
	}
	return s, nil
}

// writable: a directory in which we may write does not mean that this file is ours to change.
func writable(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// commit writes the content and takes the other's place, all at once.
func (s *successorFile) commit(content string) error {
	if _, err := s.WriteString(content); err != nil {
		return err
	}
	if err := errors.Join(s.Sync(), s.Close()); err != nil {
		return err
	}
	if err := os.Rename(s.Name(), s.target); err != nil { // it is mounted by itself, as containers do with single files
		return fmt.Errorf("%w: %w: %w", errReadOnly, errMounted, err)
	}
	if dir, err := os.Open(filepath.Dir(s.target)); err == nil { // so that the name survives a power cut
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// giveUp removes the file, if it has not taken the other's place.
func (s *successorFile) giveUp() {
	_ = s.Close()
	_ = os.Remove(s.Name())
}
