package pgserver

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// The archive is made of the installed programs, with links to what is large.
func TestDownload(t *testing.T) {
	t.Parallel()
	from, ok := installed()
	if !ok {
		t.Fatal(howToInstall)
	}
	var requests atomic.Int32
	archive := jar(t, from)
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".jar") || !strings.Contains(r.URL.Path, string(downloadVersion)) {
			http.NotFound(w, r)
			return
		}
		requests.Add(1)
		_, _ = w.Write(archive)
	}))
	defer repository.Close()
	cache, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(cache)
	if err := os.Chmod(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	options := Options{CacheDir: cache, RepositoryURL: repository.URL}
	for range 2 {
		bin, err := download(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(filepath.Dir(bin)) != cache {
			t.Errorf("programs are in %s", bin)
		}
		s, err := Start(t.Context(), Options{BinDir: bin})
		if err != nil {
			t.Fatal(err)
		}
		if got := query(t, s.URL("postgres"), `select 'up'`); got != "up" {
			t.Errorf("got %s", got)
		}
		stop(t, s)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d downloads, want one", n)
	}
	if left, _ := filepath.Glob(cache + "/fetch-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDownloadsThatFail(t *testing.T) {
	t.Parallel()
	for name, body := range map[string][]byte{"not found": nil, "no archive": []byte("<html>"), "empty": zipped(t, "x.txz", xz(nil))} {
		repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body == nil {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write(body)
		}))
		defer repository.Close()
		if bin, err := download(t.Context(), Options{CacheDir: t.TempDir(), RepositoryURL: repository.URL}); err == nil {
			t.Errorf("%s: got %s", name, bin)
		}
	}
}

func TestDownloadObeysItsContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	asked := make(chan struct{}, 1)
	repository := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	defer repository.Close()
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := download(ctx, Options{CacheDir: t.TempDir(), RepositoryURL: repository.URL}); err == nil {
		t.Error("downloaded")
	}
}

// jar is an archive as embedded-postgres downloads them: a zip with a tar.xz.
func jar(t *testing.T, bin string) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, program := range []string{"initdb", "pg_ctl"} {
		content, err := os.ReadFile(filepath.Join(bin, program))
		if err != nil {
			t.Fatal(err)
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: "bin/" + program, Mode: 0o755, Size: int64(len(content))}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	// Links for what is large. The programs look for the last two beside their own folder.
	for _, name := range []string{"bin/postgres", "lib", "share"} {
		header := &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: filepath.Join(filepath.Dir(bin), name)}
		if _, err := os.Stat(header.Linkname); err != nil {
			continue
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped(t, "postgres.txz", xz(archive.Bytes()))
}

func zipped(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	file, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// xz puts data into an xz container without compressing it: one block of
// uncompressed LZMA2 chunks. There is no xz writer in the standard library.
func xz(data []byte) []byte {
	flags := []byte{0, 1} // checked by CRC32
	out := append([]byte("\xfd7zXZ\x00"), withCRC(flags)...)
	blockStart := len(out)
	out = append(out, withCRC([]byte{2, 0, 0x21, 1, 22, 0, 0, 0})...) // 12 bytes, filter LZMA2, dictionary of 8 MiB
	for rest := data; len(rest) > 0; {
		chunk := rest[:min(len(rest), 1<<16)]
		rest = rest[len(chunk):]
		out = append(out, 1) // resets the dictionary
		out = binary.BigEndian.AppendUint16(out, uint16(len(chunk)-1))
		out = append(out, chunk...)
	}
	out = append(out, 0)
	unpadded := len(out) - blockStart + 4
	for (len(out)-blockStart)%4 != 0 {
		out = append(out, 0)
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(data))

	index := binary.AppendUvarint([]byte{0, 1}, uint64(unpadded))
	index = binary.AppendUvarint(index, uint64(len(data)))
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	out = append(out, withCRC(index)...)
	footer := binary.LittleEndian.AppendUint32(nil, uint32((len(index)+4)/4-1))
	footer = append(footer, flags...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(footer))
	return append(append(out, footer...), 'Y', 'Z')
}

func withCRC(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}
