# Prepares the Windows PC windows-desktop for the fleet home (templates/bootstrap/windows.ps1.j2).
# Run it there in an administrator's PowerShell, as the person who works at that PC:
#   powershell -ExecutionPolicy Bypass -File .\windows-desktop.ps1 [-WhatIf] [-Restart]
# Every step looks first and leaves alone what is right already, so run it as often as you like. Where
# Windows has to restart in between, it goes on by itself when that person logs in again.
[CmdletBinding(SupportsShouldProcess)]
param(
    [switch]$Restart # Windows at once where a step needs it; without, when it suits you
)

$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$Name = 'windows-desktop'
$Distribution = 'Debian'
$Port = 2222
$Folder = "$env:ProgramFiles\agentfleet" # only administrators write there: what is in it runs as one
$Resume = 'agentfleet-resume'
$Build = [Environment]::OSVersion.Version.Build
$Mirrored = $Build -ge 22621
$env:WSL_UTF8 = '1' # else wsl.exe speaks UTF-16

$VMCreator = '{40E0AC32-46A5-438A-A0B2-2B479E8F2E90}' # WSL, in the words of the Hyper-V firewall

function Update-Path {
    # What was installed a moment ago is in the registry's Path, and not yet in this process's.
    $machine = [Environment]::GetEnvironmentVariable('Path', 'Machine')
    $env:Path = $machine + ';' + [Environment]::GetEnvironmentVariable('Path', 'User')
}

function Get-Installer {
    foreach ($name in 'winget', 'choco') {
        if (Get-Command $name -ErrorAction SilentlyContinue) { return $name }
    }
    return ''
}

# What changes Windows. Whoever calls has looked before.
function Install-Program {
    param([string]$Winget, [string]$Choco)
    $installer = Get-Installer
    if ($installer -eq 'winget') {
        $said = & winget install --id $Winget --exact --source winget --silent --disable-interactivity --accept-package-agreements --accept-source-agreements
    } elseif ($installer -eq 'choco') {
        $said = & choco install $Choco --yes --no-progress --limit-output
    } else {
        throw 'neither winget nor Chocolatey is here: install App Installer from the Microsoft Store, or Chocolatey'
    }
    if ($LASTEXITCODE -notin 0, 1641, 3010) { # the last two: once Windows has restarted
        throw "$installer could not install ${Winget}: $($said | Select-Object -Last 1)"
    }
    Update-Path
}

function Install-ClaudeCode {
    param([string]$Version)
    $said = & npm.cmd install --global --no-fund --no-audit "@anthropic-ai/claude-code@$Version"
    if ($LASTEXITCODE -ne 0) { throw "npm could not install Claude Code: $($said | Select-Object -Last 1)" }
    Update-Path
}

function Set-Rule {
    param([string]$Name, [string]$Title, $Ports, $Sources)
    Get-NetFirewallHyperVRule -Name $Name -ErrorAction SilentlyContinue | Remove-NetFirewallHyperVRule
    $rule = @{ Name = $Name; DisplayName = $Title; VMCreatorId = $VMCreator; Direction = 'Inbound'; Action = 'Allow'; Protocol = 'TCP'; LocalPorts = $Ports }
    if ($Sources) { $rule.RemoteAddresses = $Sources }
    New-NetFirewallHyperVRule @rule | Out-Null
}

function Set-KeepAlive {
    # WSL stops when nobody has a program of Windows' in it. This one stays, from the start of Windows on.
    param([string]$Name, [string]$Distribution)
    $task = @{
        TaskName = $Name
        Action = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\wsl.exe" -Argument "-d $Distribution --exec sleep infinity"
        Trigger = New-ScheduledTaskTrigger -AtStartup
        Principal = New-ScheduledTaskPrincipal -UserId ([Security.Principal.WindowsIdentity]::GetCurrent().Name) -LogonType S4U -RunLevel Highest
        Settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -ExecutionTimeLimit ([TimeSpan]::Zero) -RestartCount 255 -RestartInterval (New-TimeSpan -Minutes 1)
    }
    Register-ScheduledTask @task -Force | Out-Null
    Start-ScheduledTask -TaskName $Name
}

# How a step is made: it looks, and acts only where what it looks for is not so.

function Step {
    param([string]$What, [scriptblock]$Test, [scriptblock]$Act)
    if (& $Test) {
        Write-Host "ok    $What"
        return
    }
    if (-not $PSCmdlet.ShouldProcess($env:COMPUTERNAME, $What)) { return }
    Write-Host "now   $What"
    & $Act | Out-Host
    if (-not (& $Test)) { throw "${What}: it was tried, and is not so; what was said is above" }
    Write-Host "done  $What"
}

function Test-Program {
    # Whether a program says yes; one that is not there does not.
    param([string]$Program, [string[]]$Arguments)
    if (-not (Get-Command $Program -ErrorAction SilentlyContinue)) { return $false }
    & $Program @Arguments | Out-Null
    return ($LASTEXITCODE -eq 0)
}

function Invoke-Program {
    param([string]$Program, [string[]]$Arguments)
    & $Program @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$Program $($Arguments -join ' '): exit code $LASTEXITCODE" }
}

function Test-Inside {
    # A command in the distribution, as root. Nothing in it may need quotes: Windows loses them.
    param([string[]]$Arguments)
    return (Test-Program wsl.exe (@('-d', $Distribution, '-u', 'root', '--exec') + $Arguments))
}

function Invoke-Inside {
    # A script in the distribution, as root, by way of a file: no command line is long enough.
    param([string]$Packed)
    $text = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($Packed))
    [IO.File]::WriteAllText("$Folder\inside.sh", $text)
    Invoke-Program wsl.exe @('-d', $Distribution, '-u', 'root', '--cd', $Folder, '--exec', 'sh', './inside.sh')
}

function Get-Text {
    param([string]$File)
    if ([IO.File]::Exists($File)) { return [IO.File]::ReadAllText($File) }
    return ''
}

# What has to be so already

function Assert-Administrator {
    $me = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        throw 'this takes an administrator: open PowerShell with "Run as administrator" and start it there again'
    }
}

function Assert-Person {
    # WSL belongs to one account. Another one's password in the dialog would prepare that one's.
    $me = [Security.Principal.WindowsIdentity]::GetCurrent().Name
    $there = (Get-CimInstance Win32_ComputerSystem).UserName
    if ($there -and $there -ne $me) {
        throw "this runs as $me, and $there is logged in: make $there an administrator for as long as this takes"
    }
}

function Assert-Build {
    if ($Build -lt 19041) {
        throw "this is build $Build of Windows, and WSL 2 needs 19041: update Windows first"
    }
    if (-not $Mirrored) {
        Write-Warning "this is build $Build of Windows: mirrored networking needs 22621 (Windows 11 22H2). WSL stays behind NAT: it can be logged in to and sends compile jobs, and gets none. See docs/windows.md"
    }
}

# The steps

function Get-PlatformState {
    return "$((Get-WindowsOptionalFeature -Online -FeatureName VirtualMachinePlatform).State)"
}

function Test-Wsl {
    # Mirrored networking came with WSL 2.0; the one in older Windows does not even know --version.
    if (-not (Test-Program wsl.exe @('--version'))) { return $false }
    $said = (& wsl.exe --version) -join ' '
    $major = $said -replace '^\D*(\d+)\..*$', '$1'
    return ($major -match '^\d+$' -and [int]$major -ge 2)
}

function Install-Wsl {
    if (Test-Program wsl.exe @('--status')) {
        Invoke-Program wsl.exe @('--update')
    } else {
        Invoke-Program wsl.exe @('--install', '--no-distribution')
    }
}

function Test-Distribution {
    $there = & wsl.exe --list --quiet | ForEach-Object { $_.Trim() }
    return ($there -contains $Distribution)
}

function Install-Distribution {
    Invoke-Program wsl.exe @('--install', '--distribution', $Distribution, '--no-launch')
    if (Test-Distribution) { return }
    # Distributions of the older kind are registered when they are first started.
    Invoke-Program "$Distribution.exe" @('install', '--root')
}

function Save-Resume {
    if (-not (Test-Path -LiteralPath $Folder)) { New-Item -ItemType Directory -Path $Folder | Out-Null }
    Copy-Item -LiteralPath $PSCommandPath -Destination "$Folder\windows.ps1" -Force
    $me = [Security.Principal.WindowsIdentity]::GetCurrent().Name
    $again = "-NoProfile -ExecutionPolicy Bypass -NoExit -File ""$Folder\windows.ps1"""
    $task = @{
        TaskName = $Resume
        Action = New-ScheduledTaskAction -Execute 'powershell.exe' -Argument $again
        Trigger = New-ScheduledTaskTrigger -AtLogOn -User $me
        Principal = New-ScheduledTaskPrincipal -UserId $me -LogonType Interactive -RunLevel Highest
    }
    Register-ScheduledTask @task -Force | Out-Null
}

function Test-Resume {
    return [bool](Get-ScheduledTask -TaskName $Resume -ErrorAction SilentlyContinue)
}

function Test-Saved {
    return ((Test-Resume) -and (Get-Text "$Folder\windows.ps1") -eq (Get-Text $PSCommandPath))
}

function Suspend-UntilRestart {
    Step 'go on by itself after the restart' { Test-Saved } { Save-Resume }
    if ($Restart -and $PSCmdlet.ShouldProcess($env:COMPUTERNAME, 'restart Windows')) {
        Restart-Computer -Force
    } else {
        Write-Host 'Windows has to restart: do that when it suits you. This goes on when you log in again.'
    }
    exit 3010
}

function Test-Mirrored {
    return ((Get-Text "$env:USERPROFILE\.wslconfig") -match '(?im)^[ \t]*networkingMode[ \t]*=[ \t]*mirrored[ \t]*\r?$')
}

function Set-Mirrored {
    $file = "$env:USERPROFILE\.wslconfig"
    $line = 'networkingMode=mirrored'
    $text = Get-Text $file
    if ($text -match '(?im)^[ \t]*networkingMode[ \t]*=') {
        $text = $text -replace '(?im)^[ \t]*networkingMode[ \t]*=[^\r\n]*', $line
    } elseif ($text -match '(?im)^[ \t]*\[wsl2\]') {
        $text = $text -replace '(?im)^[ \t]*\[wsl2\][^\r\n]*', "[wsl2]`r`n$line"
    } else {
        $text = "$($text.TrimEnd())`r`n[wsl2]`r`n$line`r`n"
    }
    [IO.File]::WriteAllText("$file.new", $text.TrimStart())
    Move-Item -LiteralPath "$file.new" -Destination $file -Force
    Invoke-Program wsl.exe @('--shutdown') # or it would not count
}

function Test-FleetRule {
    param([string]$Rule, [string[]]$Ports)
    $found = Get-NetFirewallHyperVRule -Name $Rule -ErrorAction SilentlyContinue
    return ($found -and "$($found.Enabled)" -eq 'True' -and (@($found.LocalPorts) -join ',') -eq ($Ports -join ','))
}

function Test-Forwarding {
    $there = (& netsh.exe interface portproxy show v4tov4) -join "`n"
    $rule = Get-NetFirewallRule -Name 'agentfleet-ssh' -ErrorAction SilentlyContinue
    return ($rule -and $there -match "0\.0\.0\.0 +$Port +127\.0\.0\.1 +$Port")
}

function Set-Forwarding {
    # What Windows hears at 127.0.0.1 it hands on to WSL, whose own address is another one every time.
    Invoke-Program netsh.exe @('interface', 'portproxy', 'add', 'v4tov4', "listenport=$Port", 'listenaddress=0.0.0.0', "connectport=$Port", 'connectaddress=127.0.0.1')
    Get-NetFirewallRule -Name 'agentfleet-ssh' -ErrorAction SilentlyContinue | Remove-NetFirewallRule
    New-NetFirewallRule -Name 'agentfleet-ssh' -DisplayName 'agentfleet: SSH to WSL' -Direction Inbound -Action Allow -Protocol TCP -LocalPort $Port | Out-Null
}

function Test-KeepAlive {
    $task = Get-ScheduledTask -TaskName 'agentfleet-keep-alive' -ErrorAction SilentlyContinue
    return ($task -and "$($task.State)" -eq 'Running' -and "$($task.Actions[0].Arguments)" -eq "-d $Distribution --exec sleep infinity")
}

function Get-Tailnet {
    if (-not (Get-Command tailscale -ErrorAction SilentlyContinue)) { return $null }
    $said = (& tailscale status --json '--peers=false') -join "`n"
    return ($said | ConvertFrom-Json)
}

function Test-Tailnet {
    $now = Get-Tailnet
    return ($now -and $now.BackendState -eq 'Running' -and $now.Self.HostName -eq $Name)
}

function Join-Tailnet {
    if ((Get-Tailnet).BackendState -eq 'Running') {
        Invoke-Program tailscale @('set', "--hostname=$Name")
    } else {
        # Unattended: also while nobody is logged in here. It opens a browser, where its person logs in.
        Invoke-Program tailscale @('up', '--unattended', "--hostname=$Name")
    }
}

function Test-ClaudeCode {
    param([string]$Version)
    if (-not (Get-Command claude -CommandType Application -ErrorAction SilentlyContinue)) { return $false }
    return ("$(& claude.cmd --version | Select-Object -First 1)" -like "$Version *")
}

function Get-ProfileText {
    return (Get-Text $PROFILE.CurrentUserAllHosts)
}

function Set-ProfilePart {
    # Our lines stand between two marks; what else is in the profile is its person's.
    $file = $PROFILE.CurrentUserAllHosts
    $folder = Split-Path -Parent $file
    if (-not (Test-Path -LiteralPath $folder)) { New-Item -ItemType Directory -Path $folder | Out-Null }
    $rest = ((Get-ProfileText) -replace '(?s)# agentfleet >>>.*?# <<< agentfleet\r?\n?', '').TrimEnd()
    [IO.File]::WriteAllText($file, "$rest`r`n$ProfilePart`r`n".TrimStart())
}

$ProfilePart = @'
# agentfleet >>>
# `cluster make -j20`: in WSL, in this folder, where the compilers are the cluster's.
function cluster { wsl.exe -d Debian -- bash -lc "$args" }
$env:DISABLE_AUTOUPDATER = '1' # the fleet's Claude Code is pinned
# <<< agentfleet
'@ -replace "`r?`n", "`r`n"

function Test-Policy {
    # The process's own is whatever this script was started with.
    foreach ($scope in 'MachinePolicy', 'UserPolicy', 'CurrentUser', 'LocalMachine') {
        $policy = "$(Get-ExecutionPolicy -Scope $scope)"
        if ($policy -ne 'Undefined') { return ($policy -in 'RemoteSigned', 'Unrestricted', 'Bypass') }
    }
    return $false
}

function Invoke-Preparation {
    Assert-Administrator
    Assert-Person
    Assert-Build
    Update-Path

    Step 'the Virtual Machine Platform' { (Get-PlatformState) -in 'Enabled', 'EnablePending' } {
        Enable-WindowsOptionalFeature -Online -FeatureName VirtualMachinePlatform -All -NoRestart
    }
    if ((Get-PlatformState) -eq 'EnablePending') { Suspend-UntilRestart }
    Step 'WSL 2' { Test-Wsl } { Install-Wsl }
    Step "the distribution $Distribution" { Test-Distribution } { Install-Distribution }
    if ($Mirrored) {
        Step 'mirrored networking (restarts WSL)' { Test-Mirrored } { Set-Mirrored }
    }
    Step "a folder for scripts, $Folder" { Test-Path -LiteralPath $Folder } {
        New-Item -ItemType Directory -Path $Folder
    }
    Step "systemd in it (restarts $Distribution)" { Test-Inside @('grep', '-qs', '^systemd=true', '/etc/wsl.conf') } {
        Invoke-Inside 'c2V0IC1ldQpjb25mPS9ldGMvd3NsLmNvbmYKdG91Y2ggIiRjb25mIgpncmVwIC1xICdeXFtib290XF0nICIkY29uZiIgfHwgcHJpbnRmICdbYm9vdF1cbicgPj4iJGNvbmYiCnNlZCAtaSAtZSAnL15zeXN0ZW1kICo9L2QnIC1lICdzL15cW2Jvb3RcXS4qLyZcbnN5c3RlbWQ9dHJ1ZS8nICIkY29uZiIK'
        Invoke-Program wsl.exe @('--terminate', $Distribution)
    }
    Step "SSH in it, on port $Port" { Test-Inside @('grep', '-qsx', '01d888a05370e97659dd3f5a321c6b363bf90b0add012ac06cf1e104d283434a', '/var/lib/agentfleet/bootstrap') } {
        Invoke-Inside 'IyEvYmluL3NoCiMgTWFrZXMgdGhpcyBtYWNoaW5lIHdpbmRvd3MtZGVza3RvcCBvZiB0aGUgZmxlZXQgImhvbWUiOiBhbiBTU0ggc2VydmVyLCBhIGxvZ2luIHdpdGggYSBrZXksIHJvb3Qgd2l0aG91dCBhCiMgcGFzc3dvcmQuIFJlbmRlcmVkIGZyb20gZmxlZXQueWFtbCBieSBgZmxlZXQgYm9vdHN0cmFwYCAodGVtcGxhdGVzL2Jvb3RzdHJhcC9saW51eC5zaC5qMik7IGhvbGRzIG5vIHNlY3JldC4KIwojICAgc3VkbyBzaCB3aW5kb3dzLWRlc2t0b3Auc2ggICAgICAgICAgICBkbyBpdDsgYXQgYW55IHRpbWUgYWdhaW4sIGl0IGNoYW5nZXMgd2hhdCBpcyBub3QgcmlnaHQgYW5kIG5vdGhpbmcgZWxzZQojICAgc3VkbyBzaCB3aW5kb3dzLWRlc2t0b3Auc2ggLS1jaGVjayAgICBzYXkgd2hhdCBpdCB3b3VsZCBkbywgYW5kIGNoYW5nZSBub3RoaW5nCiMKIyBFeGl0IGNvZGVzOiAwIGRvbmUgwrcgMSBzb21ldGhpbmcgaXMgbWlzc2luZywgYWxsIG9mIGl0IGlzIGxpc3RlZCDCtyA2NCB3cm9uZyB1c2FnZQpzZXQgLWV1CmV4cG9ydCBQQVRIPS91c3IvbG9jYWwvc2JpbjovdXNyL2xvY2FsL2JpbjovdXNyL3NiaW46L3Vzci9iaW46L3NiaW46L2JpbgpleHBvcnQgTENfQUxMPUMKCm5hbWU9d2luZG93cy1kZXNrdG9wCmxvZ2luPSdhZG1pbicKcG9ydD0yMjIyCmxhbj0nMTkyLjE2OC41MC40MScgIyB3aGVyZSBmbGVldC55YW1sIHNheXMgaXQgaXMKaG9zdF9rZXk9L2V0Yy9zc2gvc3NoX2hvc3RfZWQyNTUxOV9rZXkucHViCmtleXNfZml4PSdzZWUgdGhhdCBpdHMgZGlyZWN0b3J5IGlzIG5vIGxpbmsgYW5kIGNhbiBiZSB3cml0dGVuIHRvLCB0aGVuIHJ1biB0aGlzIGFnYWluJwpzdWRvX2ZpeD0nc2VlIHN1ZG8gLWwsIGFuZCB0aGF0IC9ldGMvc3Vkb2VycyBlbmRzIHdpdGg6IEBpbmNsdWRlZGlyIC9ldGMvc3Vkb2Vycy5kJwpob3N0X2tleV9maXg9J3NlZSB0aGF0IC9ldGMvc3NoIGNhbiBiZSB3cml0dGVuIHRvOiBzc2gta2V5Z2VuIC1BJwoKZHJ5PSAgICAgIyB3aGV0aGVyIG5vdGhpbmcgbWF5IGJlIGNoYW5nZWQKZHVlPSAgICAgIyB3aGV0aGVyIHNvbWV0aGluZyB3b3VsZCBiZQptaXNzaW5nPSAjIHdoYXQgaXMgbWlzc2luZywgd2l0aCB3aGF0IHRvIGRvCgpzYXkoKSB7IHByaW50ZiAnJS0xM3MgJXNcbicgIiQxIiAiJDIiOyB9ICMgV09SRCBURVhUCm5vdGUoKSB7ICMgVEVYVCBSRU1FRFkKICAgIHNheSBub3RlICIkMSIKICAgIHByaW50ZiAnJS0xM3MgJXNcbicgJycgIiQyIgp9CmxhY2soKSB7ICMgVEVYVCBSRU1FRFkKICAgIHNheSBtaXNzaW5nICIkMSIKICAgIG1pc3Npbmc9IiRtaXNzaW5nCiAgJDEKICAgICAgJDIiCn0KIyBzdGVwIFdIQVQgVEVTVCBDSEFOR0UgUkVNRURZOiBob3cgaXQgaGFzIHRvIGJlLCB0aGUgZnVuY3Rpb24gdGhhdCB0ZWxscyB3aGV0aGVyIGl0IGlzLCB0aGUgb25lIHRoYXQKIyBzZWVzIHRvIGl0LiBXaGF0IGEgY2hhbmdlIHNheXMgb2YgaXRzZWxmIGlzIG5vdCBiZWxpZXZlZDogdGhlIHRlc3QgaXMgYXNrZWQgYWdhaW4uCnN0ZXAoKSB7CiAgICBpZiAiJDIiOyB0aGVuCiAgICAgICAgc2F5IG9rICIkMSIKICAgIGVsaWYgWyAtbiAiJGRyeSIgXTsgdGhlbgogICAgICAgIHNheSAnd291bGQgY2hhbmdlJyAiJDEiCiAgICAgICAgZHVlPXllcwogICAgZWxpZiAiJDMiICYmICIkMiI7IHRoZW4KICAgICAgICBzYXkgY2hhbmdlZCAiJDEiCiAgICBlbHNlCiAgICAgICAgbGFjayAibm90IHNvOiAkMSIgIiQ0IgogICAgZmkKfQpzdG9wX2lmX21pc3NpbmcoKSB7ICMgV09SRFMKICAgIGlmIFsgLW4gIiRtaXNzaW5nIiBdOyB0aGVuCiAgICAgICAgcHJpbnRmICdcbiVzOiVzXG4nICIkMSIgIiRtaXNzaW5nIiA+JjIKICAgICAgICBleGl0IDEKICAgIGZpCn0KCiMgLS0gd2hldGhlciB0aGlzIGlzIHRoZSBtYWNoaW5lCgojIFRoZSBvdGhlciBob3N0cywgYXMgYGFkZHJlc3Mgb3IgbmFtZT1ob3N0YDogYSBtYWNoaW5lIHRoYXQgaXMgb25lIG9mIHRoZW0gaXMgbm90IHRoaXMgb25lLgpvdGhlcnM9IjE5Mi4xNjguNTAuMTA9YXJjaC1vcmNoZXN0cmF0b3IgYXJjaC1vcmNoZXN0cmF0b3I9YXJjaC1vcmNoZXN0cmF0b3IgMTkyLjE2OC41MC4yMT1tYWNib29rMSBtYWNib29rMT1tYWNib29rMSAxOTIuMTY4LjUwLjIyPWltYWMgaW1hYz1pbWFjIDE5Mi4xNjguNTAuMjM9bWFjYm9vazIgbWFjYm9vazI9bWFjYm9vazIgMTkyLjE2OC41MC4zMT1ycGkxIHJwaTE9cnBpMSAxOTIuMTY4LjUwLjMyPXJwaTIgcnBpMj1ycGkyIDE5Mi4xNjguNTAuMzM9cnBpMyBycGkzPXJwaTMgMTkyLjE2OC41MC40Mj13aW5kb3dzLWxhcHRvcCB3aW5kb3dzLWxhcHRvcD13aW5kb3dzLWxhcHRvcCIKbm90X2Fub3RoZXIoKSB7ICMgdGhpcyBtYWNoaW5lJ3MgYWRkcmVzc2VzIGFuZCBpdHMgbmFtZQogICAgaGVyZT0iICQoYWRkcmVzc2VzIHwgdHIgJ1xuJyAnICcpICQoY2FsbGVkKSAiCiAgICBmb3Igb3RoZXIgaW4gJG90aGVyczsgZG8KICAgICAgICBjYXNlICRoZXJlIGluICoiICR7b3RoZXIlJT0qfSAiKikKICAgICAgICAgICAgbGFjayAidGhpcyBpcyAke290aGVyIyMqPX06IGZsZWV0LnlhbWwga25vd3MgJHtvdGhlciUlPSp9IGFzIHRoYXQgaG9zdCwgbm90IGFzICRuYW1lIiBcCiAgICAgICAgICAgICAgICAicnVuICR7b3RoZXIjIyo9fS5zaCBoZXJlLCBvciBtZW5kIHRoZSBuYW1lIG9yIGFkZHJlc3MgdGhhdCBpcyB3cm9uZyIKICAgICAgICAgICAgcmV0dXJuIDAgOzsKICAgICAgICBlc2FjCiAgICBkb25lCn0Kcm9vdCgpIHsKICAgIFsgIiQoaWQgLXUpIiA9IDAgXSB8fCBsYWNrICdvbmx5IHJvb3QgbWF5IGRvIHRoaXMnICJzdWRvIHNoICRuYW1lLnNoLCBvciBhcyByb290OiBzaCAkbmFtZS5zaCIKfQpuZXR3b3JrKCkgewogICAgaWYgWyAteiAiJChhZGRyZXNzZXMpIiBdOyB0aGVuCiAgICAgICAgbGFjayAndGhpcyBtYWNoaW5lIGhhcyBubyBhZGRyZXNzIGluIGEgbmV0d29yaycgInBsdWcgaW4gYSBjYWJsZSwgb3Igam9pbiBhIHdpcmVsZXNzIG5ldHdvcms6IG5tdHVpLCByYXNwaS1jb25maWcsIGl3Y3RsIgogICAgZmkKfQphZGRyZXNzZXMoKSB7IGlwIC1vIGFkZHIgc2hvdyBzY29wZSBnbG9iYWwgMj4vZGV2L251bGwgfCBhd2sgJ3sgc3BsaXQoJDQsIGF0LCAiLyIpOyBwcmludCBhdFsxXSB9JzsgfQpjYWxsZWQoKSB7IHVuYW1lIC1uOyB9CmhvbWUoKSB7IGdldGVudCBwYXNzd2QgIiRsb2dpbiIgfCBjdXQgLWQgOiAtZiA2OyB9CnJlY29nbmlzZSgpIHsKICAgIGlmIFsgIiQodW5hbWUgLXMpIiAhPSBMaW51eCBdOyB0aGVuCiAgICAgICAgbGFjayAidGhpcyBpcyAkKHVuYW1lIC1zKTsgJG5hbWUgaXMgTGludXggKGRlYmlhbikiICJydW4gdGhpcyBvbiAkbmFtZSwgb3IgbWVuZCBvcyBpbiBmbGVldC55YW1sIgogICAgICAgIHJldHVybiAwCiAgICBmaQogICAgIyBzaGVsbGNoZWNrIHNvdXJjZT0vZGV2L251bGwKICAgIHN5c3RlbT0kKC4gL2V0Yy9vcy1yZWxlYXNlIDI+L2Rldi9udWxsICYmIGVjaG8gIiR7SUQtfSIpIHx8IHN5c3RlbT0KICAgIGNhc2UgJHN5c3RlbSBpbiBkZWJpYW4pIDs7ICopCiAgICAgICAgbGFjayAidGhpcyBzeXN0ZW0gY2FsbHMgaXRzZWxmICR7c3lzdGVtOi1ub3RoaW5nfTsgJG5hbWUgaXMgZGViaWFuIiBcCiAgICAgICAgICAgICJydW4gdGhpcyBvbiAkbmFtZSwgb3IgbWVuZCBvcyBpbiBmbGVldC55YW1sIiA7OwogICAgZXNhYwogICAgbWFjaGluZT0kKHVuYW1lIC1tKQogICAgWyAiJG1hY2hpbmUiID0geDg2XzY0IF0gfHwKICAgICAgICBsYWNrICJ0aGUga2VybmVsIGlzIG1hZGUgZm9yICRtYWNoaW5lOyAkbmFtZSBpcyB4ODZfNjQiIFwKICAgICAgICAgICAgInJ1biB0aGlzIG9uIHdpbmRvd3MtZGVza3RvcCwgb3IgbWVuZCBhcmNoIGluIGZsZWV0LnlhbWwiCiAgICAjIEEgMzItYml0IHN5c3RlbSBtYXkgcnVuIG9uIGEgNjQtYml0IGtlcm5lbDogd2hhdCBpdCBpcyBtYWRlIG9mIGNvdW50cywgdG9vLgogICAgdXNlcmxhbmQ9JChkcGtnIC0tcHJpbnQtYXJjaGl0ZWN0dXJlIDI+L2Rldi9udWxsKSB8fCB1c2VybGFuZD1ub25lCiAgICBbICIkdXNlcmxhbmQiID0gYW1kNjQgXSB8fAogICAgICAgIGxhY2sgIml0cyBwcm9ncmFtcyBhcmUgbWFkZSBmb3IgJHVzZXJsYW5kOyAkbmFtZSBuZWVkcyBhbWQ2NCIgJ2luc3RhbGwgdGhlIDY0LWJpdCBpbWFnZSBvZiBpdHMgc3lzdGVtJwogICAgY2FzZSAkKHVuYW1lIC1yKSBpbiAqW01tXWljcm9zb2Z0KikgOzsgKikKICAgICAgICBsYWNrICJ0aGlzIGlzIG5vIFdTTDsgJG5hbWUgaXMgdGhlIFdTTCBvZiBhIFdpbmRvd3MgUEMiICJydW4gdGhpcyBpbnNpZGUgV1NMIG9uICRuYW1lIiA7OwogICAgZXNhYwogICAgcm9vdAogICAgbm90X2Fub3RoZXIKICAgIG5ldHdvcmsKfQoKIyAtLSB0aGUgbG9naW4gYW5kIGl0cyBrZXlzCgprZXlzKCkgewogICAgY2F0IDw8J0tFWVMnCnNzaC1lZDI1NTE5IEFBQUFDM056YUMxbFpESTFOVEU1QUFBQUlHRm5aVzUwWm14bFpYUWdaMjlzWkdWdUlHOXdaWEpoZEc5eUlHdGxlU0VoIGFsaWNlQGxhcHRvcApLRVlTCn0KaGFzX2xvZ2luKCkgeyBpZCAtdSAiJGxvZ2luIiA+L2Rldi9udWxsIDI+JjE7IH0KbWluZSgpIHsgIyBQQVRIIE1PREU6IHdoZXRoZXIgaXQgaXMgdGhlIGxvZ2luJ3MsIHdpdGggdGhhdCBtb2RlCiAgICBbIC1uICIkKGZpbmQgIiQxIiAtcHJ1bmUgLXVzZXIgIiRsb2dpbiIgLXBlcm0gIiQyIiAyPi9kZXYvbnVsbCkiIF0KfQp0YWtlc19rZXkoKSB7ICMgVFlQRSBCQVNFNjQKICAgIGdyZXAgLXEgIl5bXiNdKiQxICQyIiAiJChob21lKS8uc3NoL2F1dGhvcml6ZWRfa2V5cyIgMj4vZGV2L251bGwKfQpoYXNfa2V5cygpIHsKICAgIGhhc19sb2dpbiAmJiBtaW5lICIkKGhvbWUpLy5zc2giIDcwMCAmJiBtaW5lICIkKGhvbWUpLy5zc2gvYXV0aG9yaXplZF9rZXlzIiA2MDAgJiYKICAgICAgICBrZXlzIHwgd2hpbGUgcmVhZCAtciB0eXBlIGtleSBfOyBkbyB0YWtlc19rZXkgIiR0eXBlIiAiJGtleSIgfHwgZXhpdCAxOyBkb25lCn0KYWRkX2tleXMoKSB7ICMgYmVzaWRlIHRob3NlIHRoYXQgYXJlIHRoZXJlOiBub2JvZHkgaXMgbG9ja2VkIG91dAogICAgZm9sZGVyPSQoaG9tZSkvLnNzaAogICAgZmlsZT0kZm9sZGVyL2F1dGhvcml6ZWRfa2V5cwogICAgWyAtZCAiJChob21lKSIgXSAmJiBbICEgLUwgIiRmb2xkZXIiIF0gJiYgWyAhIC1MICIkZmlsZSIgXSAmJiBta2RpciAtcCAiJGZvbGRlciIgJiYgdG91Y2ggIiRmaWxlIiB8fCByZXR1cm4gMQogICAgWyAteiAiJCh0YWlsIC1jIDEgIiRmaWxlIikiIF0gfHwgZWNobyA+PiIkZmlsZSIKICAgIGtleXMgfCB3aGlsZSByZWFkIC1yIHR5cGUga2V5IGNvbW1lbnQ7IGRvCiAgICAgICAgdGFrZXNfa2V5ICIkdHlwZSIgIiRrZXkiIHx8IHByaW50ZiAnJXMgJXMgJXNcbicgIiR0eXBlIiAiJGtleSIgIiRjb21tZW50IiA+PiIkZmlsZSIKICAgIGRvbmUKICAgIGNob3duICIkbG9naW4iICIkZm9sZGVyIiAiJGZpbGUiICYmIGNobW9kIDcwMCAiJGZvbGRlciIgJiYgY2htb2QgNjAwICIkZmlsZSIKfQojIHNzaGQgdGFrZXMgbm8ga2V5IGZyb20gYSBob21lIHRoYXQgb3RoZXJzIG1heSB3cml0ZSB0by4KcHJpdmF0ZV9ob21lKCkgewogICAgWyAteiAiJChmaW5kICIkKGhvbWUpIiAtcHJ1bmUgJygnIC1wZXJtIC0wMjAgLW8gLXBlcm0gLTAwMiAnKScgMj4vZGV2L251bGwpIiBdIHx8CiAgICAgICAgbGFjayAib3RoZXJzIG1heSB3cml0ZSB0byAkKGhvbWUpLCBzbyBzc2hkIHRha2VzIG5vIGtleSBmcm9tIHRoZXJlIiAiY2htb2QgZ28tdyAkKGhvbWUpIgp9CiMgLWs6IHdoYXQgc29tZWJvZHkgaGFzIHR5cGVkIGEgbWludXRlIGFnbyBkb2VzIG5vdCBjb3VudC4KYmVjb21lc19yb290KCkgeyBoYXNfbG9naW4gJiYgc3VkbyAtbiAtdSAiJGxvZ2luIiBzdWRvIC1rIC1uIHRydWUgMj4vZGV2L251bGw7IH0KbGV0X2JlY29tZV9yb290KCkgewogICAgcnVsZT0vZXRjL3N1ZG9lcnMuZC9hZ2VudGZsZWV0LWFkbWluCiAgICBzdGFnZWQ9L2V0Yy9zdWRvZXJzLmQvLmFnZW50ZmxlZXQtYWRtaW4ubmV3ICMgc3VkbyBwYXNzZXMgb3ZlciBuYW1lcyB3aXRoIGEgZG90CiAgICAodW1hc2sgMzM3ICYmIHJtIC1mICIkc3RhZ2VkIiAmJiBlY2hvICIkbG9naW4gQUxMPShBTEwpIE5PUEFTU1dEOiBBTEwiID4iJHN0YWdlZCIpICYmCiAgICAgICAgdmlzdWRvIC1jcWYgIiRzdGFnZWQiID4vZGV2L251bGwgJiYgbXYgIiRzdGFnZWQiICIkcnVsZSIKfQoKIyAtLSBpdHMgU1NIIHNlcnZlcgoKaGFzX2hvc3Rfa2V5KCkgeyBbIC1zICIkaG9zdF9rZXkiIF07IH0KbWFrZV9ob3N0X2tleXMoKSB7IHNzaC1rZXlnZW4gLUEgPi9kZXYvbnVsbDsgfQphbnN3ZXJzKCkgeyBzc2gta2V5c2NhbiAtVCA1IC1wICIkcG9ydCIgLXQgZWQyNTUxOSAxMjcuMC4wLjEgMj4vZGV2L251bGwgfCBncmVwIC1xIHNzaC1lZDI1NTE5OyB9CmFuc3dlcnNfc29vbigpIHsKICAgIGZvciBfIGluIDEgMiAzIDQgNSA2IDcgOCA5IDEwOyBkbwogICAgICAgIGlmIGFuc3dlcnM7IHRoZW4gcmV0dXJuIDA7IGZpCiAgICAgICAgc2xlZXAgMQogICAgZG9uZQogICAgcmV0dXJuIDEKfQojIFdoYXQgc3NoZCB3b3VsZCBzYXkgdG8gdGhlIGxvZ2luLCB3aGF0ZXZlciBmaWxlIGl0IGhhcyB0aGF0IGZyb20uCmxldHNfaW4oKSB7CiAgICBzYWlkPSQoc3NoZCAtVCAtQyAidXNlcj0kbG9naW4saG9zdD1sb2NhbGhvc3QsYWRkcj0xMjcuMC4wLjEiIDI+L2Rldi9udWxsKSB8fCByZXR1cm4gMAogICAgY2FzZSAkc2FpZCBpbiAqJ3B1YmtleWF1dGhlbnRpY2F0aW9uIG5vJyopCiAgICAgICAgbGFjayAnc3NoZCB0YWtlcyBubyBrZXlzJyAnUHVia2V5QXV0aGVudGljYXRpb24geWVzIGluIC9ldGMvc3NoL3NzaGRfY29uZmlnLCBvciBhIGZpbGUgYmVzaWRlIGl0JyA7OwogICAgZXNhYwogICAgYWxsb3dlZD0kKHByaW50ZiAnJXNcbicgIiRzYWlkIiB8IHNlZCAtbiAncy9eYWxsb3d1c2VycyAvL3AnKQogICAgWyAteiAiJGFsbG93ZWQiIF0gfHwgcHJpbnRmICclc1xuJyAiJGFsbG93ZWQiIHwgZ3JlcCAtcSAiXiRsb2dpblwoQFx8XCRcKSIgfHwKICAgICAgICBsYWNrICJzc2hkIGxldHMgb25seSB0aGVzZSBpbjogJChwcmludGYgJXMgIiRhbGxvd2VkIiB8IHRyICdcbicgJyAnKSIgXAogICAgICAgICAgICAiYWRkICRsb2dpbiB0byBBbGxvd1VzZXJzIGluIC9ldGMvc3NoL3NzaGRfY29uZmlnLCBvciBhIGZpbGUgYmVzaWRlIGl0Igp9CiMgLS0gd2hhdCBoYXMgdG8gYmUgaW5zdGFsbGVkCgpsYWNraW5nKCkgeyAjIHBhY2thZ2VzOyB0aG9zZSB0aGF0IGFyZSB0aGVyZSBhcmUgbm90IHVwZ3JhZGVkCiAgICBjb21tYW5kIC12IHNzaGQgPi9kZXYvbnVsbCB8fCBlY2hvIG9wZW5zc2gtc2VydmVyCiAgICBjb21tYW5kIC12IHN1ZG8gPi9kZXYvbnVsbCB8fCBlY2hvIHN1ZG8KfQpoYXNfcHJvZ3JhbXMoKSB7IFsgLXogIiQobGFja2luZykiIF07IH0KIyBGZXRjaGVkIGJlZm9yZSBhbnl0aGluZyBpcyBjaGFuZ2VkOiB3aXRob3V0IGEgbmV0d29yayBub3RoaW5nIGlzLgpwcmVwYXJlKCkgewogICAgaWYgWyAtbiAiJGRyeSIgXSB8fCBoYXNfcHJvZ3JhbXM7IHRoZW4gcmV0dXJuIDA7IGZpCiAgICAjIHNoZWxsY2hlY2sgZGlzYWJsZT1TQzIwNDYgIyBhIHdvcmQgYSBwYWNrYWdlCiAgICB7IHBhY2thZ2VzIHVwZGF0ZSAmJiBwYWNrYWdlcyAtLXllcyAtLW5vLXJlbW92ZSAtLWRvd25sb2FkLW9ubHkgaW5zdGFsbCAkKGxhY2tpbmcpOyB9ID4mMiB8fAogICAgICAgIGxhY2sgImNhbm5vdCBiZSBkb3dubG9hZGVkOiAkKGxhY2tpbmcgfCB0ciAnXG4nICcgJykoYXB0LWdldCBzYXlzIHdoeSBhYm92ZSkiIFwKICAgICAgICAgICAgJ3NlZSB0aGF0IHRoaXMgbWFjaGluZSByZWFjaGVzIHRoZSBpbnRlcm5ldCwgYW5kIGl0cyBwYWNrYWdlIHNvdXJjZXM6IGFwdC1nZXQgdXBkYXRlJwp9CnBhY2thZ2VzKCkgeyBERUJJQU5fRlJPTlRFTkQ9bm9uaW50ZXJhY3RpdmUgYXB0LWdldCAtcXEgLW8gRFBrZzo6TG9jazo6VGltZW91dD0xMjAgIiRAIjsgfQojIHNoZWxsY2hlY2sgZGlzYWJsZT1TQzIwNDYgIyBhIHdvcmQgYSBwYWNrYWdlCmluc3RhbGxfcHJvZ3JhbXMoKSB7IHBhY2thZ2VzIC0teWVzIC0tbm8tcmVtb3ZlIGluc3RhbGwgJChsYWNraW5nKSA+JjI7IH0KCiMgLS0gd2hhdCBoYXMgdG8gYmUgcnVubmluZwoKIyAnKicgaXMgbm8gcGFzc3dvcmQsIGFuZCB1bmxpa2UgJyEnIG5vIGxvY2ssIHdoaWNoIHNzaGQgd291bGQgdGFrZSBmb3Igb25lLgptYWtlX2xvZ2luKCkgeyB1c2VyYWRkIC0tY3JlYXRlLWhvbWUgLS1zaGVsbCAvYmluL2Jhc2ggLS1wYXNzd29yZCAnKicgIiRsb2dpbiI7IH0KdW5pdD1zc2guc2VydmljZQojIFVidW50dSBzdGFydHMgaXQgYnkgYSBzb2NrZXQuCnN0YXJ0cygpIHsgc3lzdGVtY3RsIC1xIGlzLWVuYWJsZWQgIiR1bml0IiAyPi9kZXYvbnVsbCB8fCBzeXN0ZW1jdGwgLXEgaXMtZW5hYmxlZCBzc2guc29ja2V0IDI+L2Rldi9udWxsOyB9Cm1ha2Vfc3RhcnQoKSB7IHN5c3RlbWN0bCAtcSBlbmFibGUgIiR1bml0IjsgfQpsaXN0ZW5zKCkgeyAjIHNzaGQgc2F5cyBub3RoaW5nIHdpdGhvdXQgdGhhdCBkaXJlY3RvcnksIHdoaWNoIGlzIGluIG1lbW9yeSBhbmQgY29tZXMgd2l0aCBpdHMgc3RhcnQKICAgIG1rZGlyIC1wIC9ydW4vc3NoZCAmJiBzc2hkIC1UIDI+L2Rldi9udWxsIHwgZ3JlcCAtcXggInBvcnQgJHBvcnQiCn0KIyBBIGZpbGUgb2YgaXRzIG93biwgYmVmb3JlIHRoZSBzeXN0ZW0nczsgcmVmdXNlZCB3aGVyZSBzc2hkIHdvdWxkIG5vdCBzdGFydCB3aXRoIGl0LgpzZXRfcG9ydCgpIHsKICAgIGZpbGU9L2V0Yy9zc2gvc3NoZF9jb25maWcuZC8wNS1hZ2VudGZsZWV0LXBvcnQuY29uZgogICAgbWtkaXIgLXAgL2V0Yy9zc2gvc3NoZF9jb25maWcuZCAmJiBwcmludGYgJyMgQnkgJXMuc2g6IHRoZSBwb3J0IG9mIGZsZWV0LnlhbWxcblBvcnQgJXNcbicgIiRuYW1lIiAiJHBvcnQiID4iJGZpbGUiICYmCiAgICAgICAgeyBzc2hkIC10IHx8IHsgcm0gLWYgIiRmaWxlIjsgcmV0dXJuIDE7IH07IH0KfQp0b2xkPSAjIHdoZXRoZXIgc3NoZCBoYXMgdG8gcmVhZCBpdHMgY29uZmlndXJhdGlvbiBhZ2FpbgpsaXN0ZW4oKSB7IHNldF9wb3J0ICYmIHRvbGQ9eWVzOyB9CnN0YXJ0X3NlcnZlcigpIHsKICAgIHN5c3RlbWN0bCBkYWVtb24tcmVsb2FkCiAgICBpZiBzeXN0ZW1jdGwgLXEgaXMtZW5hYmxlZCBzc2guc29ja2V0IDI+L2Rldi9udWxsOyB0aGVuCiAgICAgICAgc3lzdGVtY3RsIHJlc3RhcnQgc3NoLnNvY2tldAogICAgICAgIHN5c3RlbWN0bCB0cnktcmVzdGFydCAiJHVuaXQiCiAgICBlbHNlCiAgICAgICAgc3lzdGVtY3RsIHJlc3RhcnQgIiR1bml0IgogICAgZmkKICAgIGFuc3dlcnNfc29vbgp9CiMgSXRzIGNvbmZpZ3VyYXRpb24gbWF5IGhhdmUgY2hhbmdlZCB1bmRlciBpdDsgY29ubmVjdGlvbnMgdGhhdCBhcmUgb3BlbiBzdGF5IG9wZW4uCnNlcnZlcygpIHsgWyAteiAiJHRvbGQiIF0gJiYgYW5zd2VyczsgfQpzZXJ2ZSgpIHsgdG9sZD07IHN0YXJ0X3NlcnZlcjsgfQpjbG9zZWRfYnlfdWZ3KCkgewogICAgY29tbWFuZCAtdiB1ZncgPi9kZXYvbnVsbCAmJiB1Zncgc3RhdHVzIDI+L2Rldi9udWxsIHwgZ3JlcCAtcSAnXlN0YXR1czogYWN0aXZlJyB8fCByZXR1cm4gMAogICAgcnVsZXM9IiRwb3J0fCRwb3J0L3RjcCIKICAgIFsgIiRwb3J0IiAhPSAyMiBdIHx8IHJ1bGVzPSIkcnVsZXN8T3BlblNTSHxTU0giCiAgICB1Zncgc3RhdHVzIHwgZ3JlcCAtRXEgIl4oJHJ1bGVzKSAuKihBTExPV3xMSU1JVCkiIHx8CiAgICAgICAgbGFjayAidWZ3IGxldHMgbm9ib2R5IGluIG9uIHBvcnQgJHBvcnQiICJ1ZncgYWxsb3cgJHBvcnQvdGNwIgp9CndhbnRzX3N5c3RlbWQoKSB7CiAgICBhd2sgJy9eXFsvIHsgcGFydCA9ICQwIH0gcGFydCB+IC9eXFtib290XF0vICYmIC9eWyBcdF0qc3lzdGVtZFsgXHRdKj1bIFx0XSp0cnVlLyB7IHllcyA9IDEgfSBFTkQgeyBleGl0ICF5ZXMgfScgXAogICAgICAgIC9ldGMvd3NsLmNvbmYgMj4vZGV2L251bGwKfQp3YW50X3N5c3RlbWQoKSB7CiAgICB0b3VjaCAvZXRjL3dzbC5jb25mCiAgICB0b2xkX3NvPSQoYXdrICcKICAgICAgICAvXlxbLyB7IHBhcnQgPSAkMCB9CiAgICAgICAgcGFydCB+IC9eXFtib290XF0vICYmIC9eWyBcdF0qc3lzdGVtZFsgXHRdKj0vIHsgbmV4dCB9CiAgICAgICAgeyBwcmludCB9CiAgICAgICAgL15cW2Jvb3RcXS8geyBwcmludCAic3lzdGVtZD10cnVlIjsgZG9uZSA9IDEgfQogICAgICAgIEVORCB7IGlmICghZG9uZSkgcHJpbnQgIltib290XVxuc3lzdGVtZD10cnVlIiB9JyAvZXRjL3dzbC5jb25mKSAmJiBwcmludGYgJyVzXG4nICIkdG9sZF9zbyIgPi9ldGMvd3NsLmNvbmYKfQpydW5zX3N5c3RlbWQoKSB7CiAgICBbIC1uICIkZHJ5IiBdIHx8IFsgLWQgL3J1bi9zeXN0ZW1kL3N5c3RlbSBdIHx8CiAgICAgICAgbGFjayAnc3lzdGVtZCBkb2VzIG5vdCBydW4geWV0JyAnaW4gV2luZG93czogd3NsLmV4ZSAtLXNodXRkb3duLCB0aGVuIHN0YXJ0IFdTTCBhbmQgcnVuIHRoaXMgYWdhaW4nCn0KYXJyYW5nZSgpIHsKICAgIHN0ZXAgJ3N5c3RlbWQgc3RhcnRzIHdpdGggV1NMICgvZXRjL3dzbC5jb25mKScgd2FudHNfc3lzdGVtZCB3YW50X3N5c3RlbWQgJ3dyaXRlIHRvIC9ldGMvd3NsLmNvbmY6IFtib290XSBzeXN0ZW1kPXRydWUnCiAgICBydW5zX3N5c3RlbWQKICAgIHN0b3BfaWZfbWlzc2luZyAnTWlzc2luZycKICAgIHN0ZXAgJ3NzaGQgYW5kIHN1ZG8gYXJlIGluc3RhbGxlZCcgaGFzX3Byb2dyYW1zIGluc3RhbGxfcHJvZ3JhbXMgJ3RoZSBwYWNrYWdlIG1hbmFnZXIgc2F5cyBhYm92ZSB3aHkgbm90JwogICAgc3RlcCAidGhlcmUgaXMgYSBsb2dpbiAkbG9naW4iIGhhc19sb2dpbiBtYWtlX2xvZ2luICJ1c2VyYWRkIHNheXMgYWJvdmUgd2h5IG5vdCIKICAgIHN0ZXAgIiRsb2dpbiB0YWtlcyB0aGUga2V5cyBvZiB0aGUgZmxlZXQncyBvcGVyYXRvcnMiIGhhc19rZXlzIGFkZF9rZXlzICIka2V5c19maXgiCiAgICBwcml2YXRlX2hvbWUKICAgIHN0ZXAgIiRsb2dpbiBiZWNvbWVzIHJvb3Qgd2l0aG91dCBhIHBhc3N3b3JkIiBiZWNvbWVzX3Jvb3QgbGV0X2JlY29tZV9yb290ICIkc3Vkb19maXgiCiAgICBzdGVwICd0aGVyZSBpcyBhIGhvc3Qga2V5JyBoYXNfaG9zdF9rZXkgbWFrZV9ob3N0X2tleXMgIiRob3N0X2tleV9maXgiCiAgICBzdGVwICJzc2hkIGxpc3RlbnMgb24gcG9ydCAkcG9ydCIgbGlzdGVucyBsaXN0ZW4gXAogICAgICAgICdzZWUgc3NoZCAtdDsgL2V0Yy9zc2gvc3NoZF9jb25maWcgaGFzIHRvIGJlZ2luIHdpdGg6IEluY2x1ZGUgL2V0Yy9zc2gvc3NoZF9jb25maWcuZC8qLmNvbmYnCiAgICBzdGVwICIkdW5pdCBzdGFydHMgd2l0aCB0aGUgc3lzdGVtIiBzdGFydHMgbWFrZV9zdGFydCAic3lzdGVtY3RsIHN0YXR1cyAkdW5pdCIKICAgIHN0ZXAgImFuIFNTSCBzZXJ2ZXIgYW5zd2VycyBvbiBwb3J0ICRwb3J0IiBzZXJ2ZXMgc2VydmUgImpvdXJuYWxjdGwgLXUgJHVuaXQiCiAgICBsZXRzX2luCiAgICBjbG9zZWRfYnlfdWZ3Cn0KCiMgQWxsIG9mIGl0IGlzIHJlYWQgYmVmb3JlIGFueSBvZiBpdCBydW5zOiBoYWxmIGEgZmlsZSBkb2VzIG5vdGhpbmcuCm1haW4oKSB7CiAgICBjYXNlICQjOiR7MS19IGluCiAgICAwOikgOzsKICAgIDE6LS1jaGVjaykgZHJ5PXllcyA7OwogICAgKikKICAgICAgICBlY2hvICJ1c2FnZTogc3VkbyBzaCAkbmFtZS5zaCBbLS1jaGVja10iID4mMgogICAgICAgIGV4aXQgNjQKICAgICAgICA7OwogICAgZXNhYwogICAgcmVjb2duaXNlCiAgICBzdG9wX2lmX21pc3NpbmcgJ05vdGhpbmcgd2FzIGNoYW5nZWQuIE1pc3NpbmcnCiAgICBwcmVwYXJlCiAgICBzdG9wX2lmX21pc3NpbmcgJ05vdGhpbmcgd2FzIGNoYW5nZWQuIE1pc3NpbmcnCiAgICBhcnJhbmdlCiAgICBzdG9wX2lmX21pc3NpbmcgJ01pc3NpbmcsIHNlZSB0byBpdCBhbmQgcnVuIHRoaXMgYWdhaW4nCiAgICBbIC16ICIkZHJ5IiBdIHx8IHByaW50ZiAnXG5Ob3RoaW5nIHdhcyBjaGFuZ2VkLlxuJwogICAgWyAteiAiJGR1ZSIgXSB8fCBleGl0IDAKICAgIHByaW50ZiAnXG4lcyBpcyByZWFkeSBmb3IgdGhlIHdvcmtzdGF0aW9uLCB3aGVyZSB0aGlzIGlzIHR5cGVkOlxuXG4gIGZsZWV0IHRydXN0ICVzIC0tZmluZ2VycHJpbnQgJXNcbicgXAogICAgICAgICIkbmFtZSIgIiRuYW1lIiAiJChzc2gta2V5Z2VuIC1sIC1mICIkaG9zdF9rZXkiIHwgYXdrICd7IHByaW50ICQyIH0nKSIKfQoKbWFpbiAiJEAiCmV4aXQK'
        Invoke-Inside 'c2V0IC1ldQpta2RpciAtcCAvdmFyL2xpYi9hZ2VudGZsZWV0CmVjaG8gMDFkODg4YTA1MzcwZTk3NjU5ZGQzZjVhMzIxYzZiMzYzYmY5MGIwYWRkMDEyYWMwNmNmMWUxMDRkMjgzNDM0YSA+L3Zhci9saWIvYWdlbnRmbGVldC9ib290c3RyYXAK'
    }
    if ($Mirrored) {
        Step 'firewall rule agentfleet-ssh' { Test-FleetRule 'agentfleet-ssh' @('2222') } {
            Set-Rule -Name 'agentfleet-ssh' -Title 'agentfleet: SSH to WSL' -Ports @('2222') -Sources @()
        }
        Step 'firewall rule agentfleet-tailnet' { Test-FleetRule 'agentfleet-tailnet' @('3284', '10245') } {
            Set-Rule -Name 'agentfleet-tailnet' -Title 'agentfleet: the tailnet to WSL' -Ports @('3284', '10245') -Sources @('100.64.0.0/10', 'fd7a:115c:a1e0::/48')
        }
    } else {
        Step "port $Port handed on to WSL" { Test-Forwarding } { Set-Forwarding }
    }
    Step 'WSL kept running, from the start of Windows on' { Test-KeepAlive } {
        Set-KeepAlive -Name 'agentfleet-keep-alive' -Distribution $Distribution
    }
    Step 'git' { [bool](Get-Command git -ErrorAction SilentlyContinue) } {
        Install-Program -Winget 'Git.Git' -Choco 'git'
    }
    Step 'rg' { [bool](Get-Command rg -ErrorAction SilentlyContinue) } {
        Install-Program -Winget 'BurntSushi.ripgrep.MSVC' -Choco 'ripgrep'
    }
    Step 'ccache' { [bool](Get-Command ccache -ErrorAction SilentlyContinue) } {
        Install-Program -Winget 'Ccache.Ccache' -Choco 'ccache'
    }
    Step 'node' { [bool](Get-Command node -ErrorAction SilentlyContinue) } {
        Install-Program -Winget 'OpenJS.NodeJS.LTS' -Choco 'nodejs-lts'
    }
    Step 'tailscale' { [bool](Get-Command tailscale -ErrorAction SilentlyContinue) } {
        Install-Program -Winget 'Tailscale.Tailscale' -Choco 'tailscale'
    }
    Step 'Claude Code 2.1.330' { Test-ClaudeCode '2.1.330' } {
        Install-ClaudeCode -Version '2.1.330'
    }
    Step "the tailnet, under the name $Name" { Test-Tailnet } { Join-Tailnet }
    Step 'the PowerShell profile' { (Get-ProfileText).Contains($ProfilePart) } { Set-ProfilePart }
    Step 'nothing left to resume' { -not (Test-Resume) } {
        Unregister-ScheduledTask -TaskName $Resume -Confirm:$false
    }
    Step 'scripts of this PC may run, the profile for one' { Test-Policy } {
        Set-ExecutionPolicy -Scope CurrentUser -ExecutionPolicy RemoteSigned -Force
    }
}

try {
    Invoke-Preparation
} catch {
    Write-Host "stopped: $($_.Exception.Message)"
    exit 1
}
if ($WhatIfPreference) { exit 0 }
Write-Host "$Name is prepared. Where the fleet is described: fleet trust $Name, then fleet apply --limit $Name"
