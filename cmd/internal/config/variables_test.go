package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// known are the variables that the configuration asks for.
func known(t *testing.T) (names []string) {
	t.Helper()
	_, _ = Read(func(name string) string {
		if !strings.HasSuffix(name, "_FILE") || strings.HasPrefix(name, "TLS_") {
			names = append(names, name)
		}
		return ""
	})
	return names
}

// What docker --env-file keeps, and what editors put before a text, is named for what it is.
func TestQuotesAndByteOrderMarksAreNamed(t *testing.T) {
	t.Parallel()
	for _, name := range known(t) {
		for odd, want := range map[string]string{`"%s"`: "is in quotes", `'%s'`: "is in quotes", "\ufeff%s": "U+FEFF", "%s\ufeff": "U+FEFF", "\ufeff\"%s\" ": "is in quotes"} {
			variables := goodVariables()
			value := variables[name]
			if value == "" {
				value = map[string]string{"SUPABASE_JWT_SECRET": strings.Repeat("s", 40)}[name]
			}
			variables[name] = strings.Replace(odd, "%s", value, 1)
			_, err := read(variables)
			found := 0
			for _, fault := range Faults(err) {
				if strings.HasPrefix(fault.Error(), name+": ") && strings.Contains(fault.Error(), want) && strings.Contains(fault.Error(), "; ") {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%s=%s: %d times %q in: %v", name, variables[name], found, want, err)
			}
			if value != "" && strings.Contains(want, "quotes") && !strings.HasPrefix(odd, "\ufeff") && len(Faults(err)) != 1 {
				t.Errorf("%s: one fault, but reported: %v", name, err)
			}
		}
	}
}

func TestQuotesAndByteOrderMarksInFilesAreNamed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"DATABASE_URL", "CODER_OWNER_TOKEN", SecretsVariable, "SUPABASE_JWT_SECRET"} {
		for odd, want := range map[string]string{"\"%s\"\n": "in quotes", "'%s'": "in quotes", "\ufeff%s\r\n": "U+FEFF", "\xff\xfe%s": "UTF-16", "\xfe\xff%s": "UTF-16"} {
			variables := goodVariables()
			value := variables[name]
			if value == "" {
				value = strings.Repeat("s", 40)
			}
			file := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(file, []byte(strings.Replace(odd, "%s", value, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			delete(variables, name)
			variables[name+"_FILE"] = file
			_, err := read(variables)
			if len(Faults(err)) != 1 || !strings.HasPrefix(err.Error(), name+"_FILE: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), value) {
				t.Errorf("%s, %q: %v", name, odd, err)
			}
			variables[name+"_FILE"] = `"` + file + `"`
			if _, err := read(variables); err == nil || !strings.Contains(err.Error(), name+"_FILE: is in quotes") {
				t.Errorf("%s: a quoted name of a file: %v", name, err)
			}
		}
	}
}

// The mark of an env file's first line becomes a part of the first variable's name.
func TestAByteOrderMarkBeforeAName(t *testing.T) {
	for name, value := range goodVariables() {
		t.Setenv(name, value)
	}
	t.Setenv("DATABASE_URL", "")
	t.Setenv("\ufeffDATABASE_URL", goodVariables()["DATABASE_URL"])
	if _, err := Read(Getenv); len(Faults(err)) != 1 || !strings.Contains(err.Error(), "DATABASE_URL: has a byte order mark (U+FEFF); ") {
		t.Errorf("got %v", err)
	}
}

func TestQuotedNamesOfTheProductsTable(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"PROFILES_TABLE": `public."Profiles"`, "PROFILES_ID_COLUMN": `"userId"`, "PROFILES_KEY_COLUMN": `"apiKey"`} {
		for _, value := range []string{value, ` "` + strings.ReplaceAll(strings.ReplaceAll(value, `"`, ""), ".", `"."`) + `"`} {
			variables := goodVariables()
			variables[name] = value
			_, err := read(variables)
			if len(Faults(err)) != 1 || !strings.Contains(err.Error(), "without") || !strings.Contains(err.Error(), "quotes") {
				t.Errorf("%s=%s: %v", name, value, err)
			}
		}
	}
}

func TestAnEmptySecretIsCalledEmpty(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		goodSecret + "|": "secret 2: is empty", "|" + goodSecret: "secret 1: is empty", goodSecret + "||" + goodSecret: "secret 2: is empty", goodSecret + " | ": "secret 2: is empty",
	} {
		variables := goodVariables()
		variables[SecretsVariable] = value
		_, err := read(variables)
		if len(Faults(err)) != 1 || !strings.Contains(err.Error(), want) || !regexp.MustCompile(`; remove the \|`).MatchString(err.Error()) {
			t.Errorf("%q: %v", value, err)
		}
	}
}
