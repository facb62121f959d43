package disclosure

import "regexp"

// MarginKey is where the table meta says the least difference that matters.
const MarginKey = "settings.mid"

// A database of a part of the runs says so by this setting and value; it is not
// valid as a published one.
const (
	ScopeSetting = "scope"
	ScopePart    = "part"
)

var (
	settingForm = regexp.MustCompile(`^[a-z][a-z0-9_.]*$`)
	valueForm   = regexp.MustCompile(`^[a-z0-9_.]+( [a-z0-9_.]+)*$`)
)

// PublishedSetting reports whether a setting has the form of one that may be
// published: words and numbers, no sentence, path or address.
func PublishedSetting(key, value string) bool {
	return settingForm.MatchString(key) && valueForm.MatchString(value)
}
