package codertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
)

// fields reads a JSON body field by field and words mistakes as Go's decoder does for Coder's own types. The first
// mistake counts; a null leaves the zero value.
type fields struct {
	goType string // of the whole body
	raw    map[string]json.RawMessage
	fault  string
}

func (e *exchange) fields(goType string) *fields {
	f := &fields{goType: goType}
	err := json.NewDecoder(bytes.NewReader(e.body)).Decode(&f.raw)
	switch {
	case errors.Is(err, io.EOF):
		f.fault = "EOF"
	case err != nil:
		f.fault = err.Error()
	}
	return f
}

func read[T any](f *fields, name, goType string) T {
	var value T
	raw, given := f.raw[name]
	if !given || f.fault != "" {
		return value
	}
	err := json.Unmarshal(raw, &value)
	if mistake, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		f.fault = fmt.Sprintf("json: cannot unmarshal %s into Go struct field %s.%s of type %s",
			mistake.Value, f.goType, name, goType)
	} else if err != nil {
		f.fault = err.Error()
	}
	return value
}

func (f *fields) text(name string) string     { return read[string](f, name, "string") }
func (f *fields) flag(name string) bool       { return read[bool](f, name, "bool") }
func (f *fields) texts(name string) []string  { return read[[]string](f, name, "[]string") }
func (f *fields) nanos(name string) int64     { return read[int64](f, name, "time.Duration") }
func (f *fields) id(name string) uuid.UUID    { return read[uuid.UUID](f, name, "uuid.UUID") }
func (f *fields) ids(name string) []uuid.UUID { return read[[]uuid.UUID](f, name, "[]uuid.UUID") }
