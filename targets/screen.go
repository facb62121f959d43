package targets

import (
	"io"
	"os"
	"sync/atomic"

	"github.com/magefile/mage/mg"

	"github.com/foundation-plr/pipeline/internal/console"
)

// screen is where everything is printed: names and texts come from elsewhere, so what
// a terminal or the log of a job would obey is shown and not obeyed.
func screen() io.Writer { return console.Printer(os.Stdout, os.Getenv) }

// guard is the gate of the study that was opened last; nil before one is. An error may
// be of what came before a study, or after it.
var guard atomic.Pointer[gate]

// Visible makes an error of a target fit to be printed by mage, which prints it as it
// is: without original codes, which may stand in an argument, a setting or a path, too.
func Visible(err error) error {
	if err == nil {
		return nil
	}
	g := guard.Load()
	if g == nil {
		g = new(gate) // of the study's form alone
	}
	if text := g.redact(err.Error()); text != err.Error() {
		err = mg.Fatal(mg.ExitStatus(err), text)
	}
	return console.VisibleError(err)
}
