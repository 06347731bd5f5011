// Drives go-stomp, over TCP and over a WebSocket that looks like a net.Conn.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

// Octets in a request and in a WebSocket message: a body of 1 MiB and what is around it.
const largest = 4 << 20

// errCannot is wrapped by what the library has no way to do.
var errCannot = errors.New("cannot")

// request is a line of standard input; each field is for some things that can be done.
type request struct {
	Request     int               `json:"request"`
	Do          string            `json:"do"`
	Transport   string            `json:"transport"`
	Address     string            `json:"address"`
	Version     string            `json:"version"`
	HeartBeat   [2]int            `json:"heartBeat"`
	Credentials map[string]string `json:"credentials"`
	Binary      bool              `json:"binary"`
	ID          string            `json:"id"`
	Destination string            `json:"destination"`
	Ack         string            `json:"ack"`
	Headers     map[string]string `json:"headers"`
	Body        []byte            `json:"body"`
	Receipt     bool              `json:"receipt"`
	Message     int               `json:"message"`
	Transaction string            `json:"transaction"`
}

// answer is what comes back of a request.
type answer map[string]any

type driver struct {
	connection    *stomp.Conn
	subscriptions map[string]*stomp.Subscription
	transactions  map[string]*stomp.Transaction

	lock     sync.Mutex // of the messages, and of what is said
	messages []*stomp.Message
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, largest)
	var driver driver
	for lines.Scan() {
		var request request
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		driver.answer(request)
	}
}

func (d *driver) answer(request request) {
	done, err := d.do(request)
	answer := answer{"request": request.Request}
	switch {
	case errors.Is(err, errCannot):
		answer["cannot"] = err.Error()
	case err != nil:
		answer["failed"] = err.Error()
	default:
		answer["done"] = done
	}
	d.say(answer)
}

func (d *driver) do(request request) (done answer, err error) {
	done = answer{}
	switch request.Do {
	case "hello":
		done["version"], err = libraryVersion()
	case "connect":
		err = d.connect(request)
		if err == nil {
			done["version"] = d.connection.Version()
		}
	case "subscribe":
		err = d.subscribe(request)
	case "unsubscribe":
		err = d.subscriptions[request.ID].Unsubscribe()
	case "send":
		err = d.send(request)
	case "ack":
		err = d.ack(request)
	case "nack":
		err = d.connection.Nack(d.message(request.Message))
	case "begin":
		d.transactions[request.Transaction], err = d.connection.BeginWithError()
	case "commit":
		err = d.transactions[request.Transaction].Commit()
	case "abort":
		err = d.transactions[request.Transaction].Abort()
	case "disconnect":
		err = d.disconnect()
	default:
		err = fmt.Errorf("%w %s", errCannot, request.Do)
	}
	return done, err
}

func libraryVersion() (string, error) {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "", errors.New("the program was not built from modules")
	}
	for _, module := range build.Deps {
		if strings.HasPrefix(module.Path, "github.com/go-stomp/stomp/") {
			return strings.TrimPrefix(module.Version, "v"), nil
		}
	}
	return "", errors.New("the program holds no go-stomp")
}

func (d *driver) connect(request request) error {
	d.messages = nil
	d.subscriptions = map[string]*stomp.Subscription{}
	d.transactions = map[string]*stomp.Transaction{}
	network, err := dial(request)
	if err != nil {
		return err
	}
	options := []func(*stomp.Conn) error{
		stomp.ConnOpt.AcceptVersion(stomp.Version(request.Version)),
		stomp.ConnOpt.HeartBeat(milliseconds(request.HeartBeat[0]), milliseconds(request.HeartBeat[1])),
		stomp.ConnOpt.Logger(silence{}),
	}
	if request.Transport == "websocket" {
		// It takes the host of a TCP connection by itself.
		address, err := url.Parse(request.Address)
		if err != nil {
			return err
		}
		options = append(options, stomp.ConnOpt.Host(address.Hostname()))
	}
	if login, ok := request.Credentials["login"]; ok {
		options = append(options, stomp.ConnOpt.Login(login, request.Credentials["passcode"]))
	}
	d.connection, err = stomp.Connect(network, options...)
	return err
}

func dial(request request) (net.Conn, error) {
	if request.Transport == "tcp" {
		return net.Dial("tcp", request.Address)
	}
	kind := websocket.MessageText
	if request.Binary {
		kind = websocket.MessageBinary
	}
	socket, _, err := websocket.Dial(context.Background(), request.Address, &websocket.DialOptions{
		Subprotocols: []string{"v12.stomp", "v11.stomp", "v10.stomp"},
	})
	if err != nil {
		return nil, err
	}
	connection := websocket.NetConn(context.Background(), socket, kind)
	socket.SetReadLimit(largest)
	return connection, nil
}

func milliseconds(count int) time.Duration {
	return time.Duration(count) * time.Millisecond
}

func (d *driver) subscribe(request request) error {
	if request.Receipt {
		return fmt.Errorf("%w wait for a RECEIPT of SUBSCRIBE", errCannot)
	}
	mode := map[string]stomp.AckMode{
		"auto":              stomp.AckAuto,
		"client":            stomp.AckClient,
		"client-individual": stomp.AckClientIndividual,
	}[request.Ack]
	subscription, err := d.connection.Subscribe(
		request.Destination, mode, stomp.SubscribeOpt.Id(request.ID))
	if err != nil {
		return err
	}
	d.subscriptions[request.ID] = subscription
	go d.report(request.ID, subscription)
	return nil
}

// report tells of what arrives for a subscription until it ends.
func (d *driver) report(id string, subscription *stomp.Subscription) {
	for message := range subscription.C {
		if message.Err != nil {
			d.say(answer{"event": "error", "message": message.Err.Error()})
			continue
		}
		headers := map[string]string{}
		for i := 0; i < message.Header.Len(); i++ {
			name, value := message.Header.GetAt(i)
			if _, repeated := headers[name]; !repeated {
				headers[name] = value
			}
		}
		d.say(answer{
			"event":        "message",
			"number":       d.keep(message),
			"subscription": id,
			"headers":      headers,
			"body":         base64.StdEncoding.EncodeToString(message.Body),
		})
	}
}

func (d *driver) send(request request) error {
	var options []func(*frame.Frame) error
	for name, value := range request.Headers {
		options = append(options, stomp.SendOpt.Header(name, value))
	}
	if request.Transaction != "" {
		transaction := d.transactions[request.Transaction]
		return transaction.Send(request.Destination, "", request.Body, options...)
	}
	if request.Receipt {
		options = append(options, stomp.SendOpt.Receipt)
	}
	return d.connection.Send(request.Destination, "", request.Body, options...)
}

func (d *driver) ack(request request) error {
	message := d.message(request.Message)
	if request.Transaction != "" {
		return d.transactions[request.Transaction].Ack(message)
	}
	return d.connection.Ack(message)
}

// disconnect is done when the connection is closed. Where no RECEIPT comes before the close, the
// library sometimes says so and sometimes not, as its goroutines happen to run.
func (d *driver) disconnect() error {
	err := d.connection.Disconnect()
	if err != nil && strings.Contains(err.Error(), "connection closed") {
		return nil
	}
	return err
}

// keep remembers a message under a number.
func (d *driver) keep(message *stomp.Message) int {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.messages = append(d.messages, message)
	return len(d.messages) - 1
}

func (d *driver) message(number int) *stomp.Message {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.messages[number]
}

// say writes a line to the test.
func (d *driver) say(what answer) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(what); err != nil {
		os.Exit(1) // nobody listens any more
	}
}

// silence is a log of the library that goes nowhere: what matters is reported.
type silence struct{}

func (silence) Debugf(string, ...interface{})   {}
func (silence) Infof(string, ...interface{})    {}
func (silence) Warningf(string, ...interface{}) {}
func (silence) Errorf(string, ...interface{})   {}
func (silence) Debug(string)                    {}
func (silence) Info(string)                     {}
func (silence) Warning(string)                  {}
func (silence) Error(string)                    {}
