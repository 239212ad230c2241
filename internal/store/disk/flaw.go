package disk

import (
	"errors"
	"fmt"
)

// flaw says what is wrong with a file that is not what was written.
type flaw string

func (f flaw) Error() string { return string(f) }

// newerFormat is the number of a format that this version does not know.
type newerFormat uint64

func (n newerFormat) Error() string {
	return fmt.Sprintf("a newer version wrote it, in format %d where this one knows %d", uint64(n), format)
}

// explain adds which file it is about and what to do.
func (s *Store) explain(err error) error {
	var damage flaw
	var newer newerFormat
	switch {
	case errors.As(err, &damage):
		return fmt.Errorf("%s is damaged: %w; put a snapshot in its place, or move it away to start with an empty table", s.path, err)
	case errors.As(err, &newer):
		return fmt.Errorf("%s cannot be read: %w; start that version, or move the file away to start with an empty table", s.path, err)
	}
	return err
}
